// The site that the example checks, served on the loopback interface by every process that asks for it.

package main

import (
	"embed"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

//go:embed site
var pages embed.FS

// host is the name of the demonstration's site. Its address is another one in every process, so that
// an execution must not know it: one that is resumed would knock at a door that is gone.
const host = "site.test"

// serveSite begins to serve the site, once in a process, and returns its address.
var serveSite = sync.OnceValues(func() (string, error) {
	site, err := fs.Sub(pages, "site")
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: faulty(http.FileServerFS(site)), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l) //nolint:errcheck // it serves until the process ends
	return l.Addr().String(), nil
})

// faulty makes a site as sites are: one page is busy when it is first asked for, another one is always broken.
func faulty(site http.Handler) http.Handler {
	var asked atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/archive.html" && asked.Add(1) == 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case r.URL.Path == "/orders.html":
			http.Error(w, "the database is gone", http.StatusInternalServerError)
		default:
			site.ServeHTTP(w, r)
		}
	})
}
