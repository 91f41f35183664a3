// Chaos: four workers on PostgreSQL, woken over Redis; workers are killed and stopped, servers restarted.

//go:build unix

package main_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

var chaos = flag.Duration("chaos", 0, "how long TestChaos disturbs workers and servers; 0 is some seconds, a minute in CI")

// sessionLife is how long a worker may be silent before its work is taken over.
const sessionLife = 10 * time.Second

// TestChaos ends as the soak does: everything has ended, nothing is lost or
// recorded twice, every journal replays, and every invariant holds.
func TestChaos(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a while")
	}
	period, seed := *chaos, *soakSeed
	if period == 0 {
		switch period = 8 * time.Second; {
		case underRace:
			period = 2 * time.Second
		case os.Getenv("CI") == "true":
			period = time.Minute
		}
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -args -chaos %v -soak-seed %d", period, seed)
	database, wire := servertest.Start(t, servertest.KindPostgres), servertest.Start(t, servertest.KindRedis)
	url := database.URL() + "&schema=chaos"
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	s := &soaking{t: t, random: rand.New(rand.NewPCG(seed, 3)), dir: t.TempDir()}
	s.env = []string{"SENPUKI_DB=" + url, "SENPUKI_REDIS=" + wire.URL()}
	restarts, stops := 0, 0
	again := func(server *servertest.Server) func() {
		return func() {
			restarts++
			if s.random.IntN(2) == 0 {
				_ = server.Signal(syscall.SIGKILL) // it may be going down already
			}
			server.Down()
			time.Sleep(time.Duration(s.random.IntN(1000)) * time.Millisecond)
			if err := server.Up(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.faults = []fault{
		{2, again(database)}, {2, again(wire)},
		{2, func() { // a zombie: longer silent than its session lives, then back
			stops++
			w := s.workers[s.random.IntN(len(s.workers))].Process
			_ = w.Signal(syscall.SIGSTOP)
			pause := sessionLife + 2*time.Second
			if period < time.Minute {
				pause = time.Second
			}
			time.AfterFunc(pause, func() { _ = w.Signal(syscall.SIGCONT) })
		}},
		{1, func() { // the server stands still
			_ = database.Signal(syscall.SIGSTOP)
			time.Sleep(time.Duration(s.random.IntN(2000)) * time.Millisecond)
			_ = database.Signal(syscall.SIGCONT)
		}},
	}
	s.begin(store, 4)
	s.disturb(period)
	s.settle()
	s.verify()
	t.Logf("%d restarts of servers, %d workers stopped", restarts, stops)
}
