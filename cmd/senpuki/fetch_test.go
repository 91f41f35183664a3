// Commands of the scripts that look at a worker's HTTP server.

package main_test

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// port NAME sets an environment variable to an address of this machine that is free now.
func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// fetch URL STATUS PATTERN asks until the answer has that status and matches.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fetch URL STATUS PATTERN")
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	pattern := regexp.MustCompile(args[2])
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	client := http.Client{Timeout: 10 * time.Second}
	for last := ""; ; {
		if resp, err := client.Get(args[0]); err == nil {
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == status && pattern.Match(body) {
				return
			}
			last = resp.Status + "\n" + string(body)
		}
		select {
		case <-look.C:
		case <-limit:
			ts.Fatalf("no %d with a match for %s; the last answer: %s", status, pattern, last)
		}
	}
}
