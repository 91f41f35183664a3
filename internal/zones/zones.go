// Package zones has the time zones of the IANA database that come with the binary: a script that runs on one machine today
// and is replayed on another one tomorrow meets the same. The standard library looks at what the machine has first,
// and has no way around that.
//
// zoneinfo.zip is the one of the Go distribution (lib/time; release 2025c of https://www.iana.org/time-zones, which is in the public domain).
package zones

//go:generate sh -c "cp $(go env GOROOT)/lib/time/zoneinfo.zip ."

import (
	"archive/zip"
	_ "embed" // the database
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

//go:embed zoneinfo.zip
var packed string

// index finds a zone's file. A release that cannot be read would not pass a test.
var index = sync.OnceValue(func() map[string]*zip.File {
	files := make(map[string]*zip.File)
	r, err := zip.NewReader(strings.NewReader(packed), int64(len(packed)))
	if err != nil {
		return files
	}
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			files[f.Name] = f
		}
	}
	return files
})

// loaded are the zones that were asked for, by name.
var loaded sync.Map

// Load returns the zone of that name: UTC, also for "", or one of the database, such as Europe/Paris.
func Load(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if zone, ok := loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	f := index()[name]
	switch {
	case name == "Local":
		return nil, fmt.Errorf("the zone Local is another one on each machine: name it, as in %q", "Europe/Paris")
	case f == nil:
		return nil, fmt.Errorf("there is no time zone %q; names are those of the IANA database, such as %q", name, "Europe/Paris")
	}
	data, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("time zone %s: %w", name, err)
	}
	zone, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("time zone %s: %w", name, err)
	}
	loaded.Store(name, zone)
	return zone, nil
}

func read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
