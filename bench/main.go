// The command: which cells, how often, and where the tables go.

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend/servertest"
)

// run is a run of the command.
type run struct {
	ctx     context.Context
	dir     string
	server  string // URL of PostgreSQL; "" when there is none
	limit   time.Duration
	size    float64
	repeat  int
	only    *regexp.Regexp // workloads
	engines *regexp.Regexp
	stores  *regexp.Regexp
	out     string
	results string
	profile string
}

func main() {
	var r run
	childJob := flag.String("child", "", "be a cell (used by the command itself)")
	only := flag.String("only", "", "workloads, a regular expression: W1 to W8")
	engines := flag.String("engines", "", "engines, a regular expression")
	stores := flag.String("stores", "", "stores, a regular expression: sqlite full, sqlite normal, postgres")
	flag.IntVar(&r.repeat, "repeat", 3, "how often each cell is run; the median counts")
	flag.Float64Var(&r.size, "size", 1, "share of the full size, for a quick look")
	flag.DurationVar(&r.limit, "limit", 2*time.Minute, "how long a cell may take")
	flag.StringVar(&r.out, "out", "", "Markdown file whose section between the marks is written anew")
	flag.StringVar(&r.results, "results", "", "JSON file that keeps the figures, so that a run can be made in parts")
	flag.StringVar(&r.profile, "profile", "", "directory for profiles of each cell's processes")
	flag.StringVar(&r.dir, "dir", "", "where files are made (default: a temporary directory)")
	flag.StringVar(&r.server, "postgres", "", "URL of a server (default: one that is started here)")
	flag.Parse()
	if *childJob != "" {
		end(obey(*childJob))
	}
	r.only, r.engines, r.stores = regexp.MustCompile("^(?:"+*only+")"), regexp.MustCompile("(?i)"+*engines), regexp.MustCompile(*stores)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	r.ctx = ctx
	err := r.all()
	stop()
	end(err)
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (r *run) all() (err error) {
	if r.dir, err = os.MkdirTemp(r.dir, "senpuki-bench-*"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if r.server == "" && r.stores.MatchString("postgres") {
		s, stop, err := servertest.Launch(servertest.KindPostgres, "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on", "-c", "max_connections=300")
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: no PostgreSQL:", err)
		} else {
			defer stop()
			r.server = s.URL()
		}
	}
	t := newTables(r)
	if err := t.load(r.results); err != nil {
		return err
	}
	if err := t.raw(); err != nil {
		return err
	}
	for _, w := range workloads {
		if !r.only.MatchString(w.name) {
			continue
		}
		for _, p := range peers {
			if !r.engines.MatchString(p.name) || strings.HasSuffix(p.name, "pure") && w.name != "W1" {
				continue
			}
			for _, kind := range p.stores {
				switch {
				case !r.stores.MatchString(kind), kind == "postgres" && r.server == "":
				case len(w.kinds) > 0 && !slices.Contains(w.kinds, kind):
				case workersOf[w.name] > 0 && !p.shared:
				default:
					t.measure(p, kind, w)
				}
			}
		}
		if r.ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	if err := t.save(r.results); err != nil {
		return err
	}
	return t.print()
}
