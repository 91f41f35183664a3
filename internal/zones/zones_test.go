package zones

import (
	"testing"
	"time"
)

func TestEveryZoneLoads(t *testing.T) {
	t.Parallel()
	if n := len(index()); n < 500 {
		t.Fatalf("the database has %d zones", n)
	}
	for name := range index() {
		if zone, err := Load(name); err != nil || zone.String() != name {
			t.Errorf("%s: %v, %v", name, zone, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	summer := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"":                 "2026-07-01T12:00:00Z",
		"UTC":              "2026-07-01T12:00:00Z",
		"Europe/Paris":     "2026-07-01T14:00:00+02:00",
		"America/New_York": "2026-07-01T08:00:00-04:00",
		"Asia/Kolkata":     "2026-07-01T17:30:00+05:30",
	} {
		zone, err := Load(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else if got := summer.In(zone).Format(time.RFC3339); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"Local":        `the zone Local is another one on each machine: name it, as in "Europe/Paris"`,
		"Nowhere/None": `there is no time zone "Nowhere/None"; names are those of the IANA database, such as "Europe/Paris"`,
		"../passwd":    `there is no time zone "../passwd"; names are those of the IANA database, such as "Europe/Paris"`,
		"Europe/":      `there is no time zone "Europe/"; names are those of the IANA database, such as "Europe/Paris"`,
	} {
		if _, err := Load(name); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

// A machine's own zones are not looked at.
func TestLoadIgnoresTheMachine(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	t.Setenv("TZ", "Asia/Tokyo")
	if zone, err := Load("Europe/Berlin"); err != nil || zone.String() != "Europe/Berlin" {
		t.Fatal(zone, err)
	}
}
