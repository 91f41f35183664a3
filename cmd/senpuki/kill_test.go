// The kill campaign: a workflow whose process is killed at random moments, again and again.

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/engine"
)

var (
	kills    = flag.Int("kills", 0, "how many times TestKill kills; 0 is 200, fewer under -short and -race")
	killSeed = flag.Uint64("kill-seed", 0, "seed of TestKill; 0 takes one from the clock")
)

const killSteps = 300

// raceKills is how many times a slow binary is killed; 0 is as often as others.
var raceKills int

const killFlow = `
line = activity("append_line", retry = retry_policy(initial_delay = "1ms"))

def main(file, n):
    total = 0
    for i in range(n):
        line(file, i)
        total += i
    return total
`

// TestKill kills a process that runs a 300-step workflow at random moments, and
// runs it again each time. The result must be right, every step journaled once,
// and at most one line too many written for each kill.
func TestKill(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("processes are not killed the same way there")
	}
	total := 200
	switch {
	case *kills > 0:
		total = *kills
	case testing.Short():
		total = 20
	case raceKills > 0:
		total = raceKills
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -args -kill-seed %d", seed)
	k := &killer{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(k.dir, "flow.star"), []byte(killFlow), 0o644); err != nil {
		t.Fatal(err)
	}
	for round := 0; k.kills < total; round++ {
		k.round(fmt.Sprintf("round-%d", round), total)
	}
}

// killer is a campaign.
type killer struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	kills  int
}

func (k *killer) command(args ...string) (*exec.Cmd, context.Context) {
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	k.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "mine", args...)
	cmd.Dir = k.dir
	return cmd, ctx
}

// round runs one execution to its end, killing on the way, and checks it.
func (k *killer) round(id string, total int) {
	t := k.t
	file := filepath.Join(k.dir, id)
	before := k.kills
	var stdout bytes.Buffer
	for {
		var stderr bytes.Buffer
		stdout.Reset()
		cmd, ctx := k.command("exec", "flow.star", "--quiet", "--id", id, "--arg", "file="+file, "--arg", fmt.Sprintf("n=%d", killSteps))
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var err error
		ended := make(chan struct{})
		go func() {
			err = cmd.Wait()
			close(ended)
		}()
		if k.kills < total {
			k.moment(file, ended)
			_ = cmd.Process.Kill() // it may have ended
		}
		<-ended
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%s stands still after %d kills:\n%s", id, k.kills, &stderr)
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Exited() || k.kills >= total {
			t.Fatalf("%s ended with %v after %d kills:\n%s", id, err, k.kills, &stderr)
		}
		k.kills++
	}
	if got, want := strings.TrimSpace(stdout.String()), strconv.Itoa(killSteps*(killSteps-1)/2); got != want {
		t.Errorf("%s: result %s, want %s", id, got, want)
	}
	k.check(id, file, k.kills-before)
}

// moment waits for a random moment: a little after a random number of lines more
// have been written, or, one time in ten, a little after the start.
func (k *killer) moment(file string, ended <-chan struct{}) {
	later := time.Duration(k.random.Int64N(int64(2 * time.Millisecond)))
	size := fileSize(file)
	more := int64(1 + k.random.IntN(8))
	if k.random.IntN(10) == 0 {
		later, more = time.Duration(k.random.Int64N(int64(60*time.Millisecond))), 0
	}
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for fileSize(file) < size+more {
		select {
		case <-look.C:
		case <-ended:
			return
		}
	}
	pause := time.NewTimer(later)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ended:
	}
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// check looks at what a round left behind.
func (k *killer) check(id, file string, kills int) {
	t := k.t
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	seen := map[string]bool{}
	for _, l := range lines {
		seen[l] = true
	}
	if len(seen) != killSteps {
		t.Errorf("%s: %d different lines, want %d", id, len(seen), killSteps)
	}
	if extra := len(lines) - len(seen); extra > kills {
		t.Errorf("%s: %d lines too many after %d kills", id, extra, kills)
	}
	cmd, _ := k.command("history", id, "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var h engine.History
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatal(err)
	}
	done := map[string]int{}
	for _, e := range h.Entries {
		if e.Kind == "done" {
			done[e.Step]++
		}
	}
	for step, n := range done {
		if n != 1 {
			t.Errorf("%s: step %s is journaled as done %d times", id, step, n)
		}
	}
	if len(done) != killSteps || len(h.Steps) != killSteps {
		t.Errorf("%s: %d steps asked, %d done, want %d", id, len(h.Steps), len(done), killSteps)
	}
	t.Logf("%s: %d kills, %d lines", id, kills, len(lines))
}
