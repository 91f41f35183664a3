// What a person sees: exec and watch in a terminal that tmux keeps, screen by screen.

package main_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var updateScreens = flag.Bool("update-screens", false, "write testdata/screens anew")

// screen is a terminal with a shell, in a directory of its own with senpuki on the path.
type screen struct {
	t           *testing.T
	dir, socket string
}

func newScreen(t *testing.T, width, height int) *screen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tmux is not installed")
		}
		t.Skip("tmux is not installed")
	}
	dir := t.TempDir()
	install(t, dir)
	s := &screen{t, dir, filepath.Join(dir, "tmux")}
	env := []string{"PATH=" + filepath.Join(dir, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"), "PS1=> ", "LC_ALL=C.UTF-8", "SENPUKI_DB=", "HOME=" + dir}
	s.tmux(append([]string{"new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env", "-i", "TERM=screen-256color"},
		append(env, "bash", "--norc", "--noprofile")...)...)
	s.tmux("set-option", "-g", "escape-time", "0")
	t.Cleanup(func() {
		s.tmux("kill-server")
		// What ran in it is told by a signal, and may write for a moment still.
		for begun := time.Now(); os.RemoveAll(dir) != nil && time.Since(begun) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		}
	})
	s.until("^>$")
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", s.socket, "-f", os.DevNull}, args...)...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// types types a line; key presses one key that tmux has a name for.
func (s *screen) types(line string) {
	s.t.Helper()
	s.tmux("send-keys", "-l", line)
	s.tmux("send-keys", "Enter")
}

func (s *screen) key(name string) { s.t.Helper(); s.tmux("send-keys", name) }

func (s *screen) shows() string {
	s.t.Helper()
	lines := strings.Split(s.tmux("capture-pane", "-p"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// until waits until the screen shows all of some patterns, and returns it.
func (s *screen) until(patterns ...string) string {
	s.t.Helper()
	var all []*regexp.Regexp
	for _, p := range patterns {
		all = append(all, regexp.MustCompile("(?m)"+p))
	}
	var text string
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(20 * time.Millisecond) {
		text = s.shows()
		missing := false
		for _, p := range all {
			missing = missing || !p.MatchString(text)
		}
		if !missing {
			return text
		}
	}
	s.t.Fatalf("the screen does not show %q:\n%s", patterns, text)
	return ""
}

var (
	spinners  = regexp.MustCompile(`[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]`)
	durations = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s|m|h)\b( ago)?|\bnow\b`)
	moments   = regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(\.\d+)?`)
	digests   = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	rates     = regexp.MustCompile(`\b\d+(\.\d+)?/s\b`)
	before    = regexp.MustCompile(` {2,}T\b`) // blanks of a column, more of them the shorter the duration
	after     = regexp.MustCompile(`\b(T|TOOK|CREATED) {2,}`)
	echoes    = regexp.MustCompile(`(?m)^(\^C|\* )+interrupted`) // of the key, or the rest of the tree
	timelines = regexp.MustCompile(`[·━]{24}`)
	lately    = regexp.MustCompile(`(?m)^.*(\S+ ended in the last minute)`)
)

// is compares a screen with the one that was kept; times, rates and spinners are left out.
func (s *screen) is(name, text string) {
	s.t.Helper()
	text = spinners.ReplaceAllString(text, "*")
	text = digests.ReplaceAllString(moments.ReplaceAllString(text, "M"), "D")
	text = rates.ReplaceAllString(durations.ReplaceAllString(text, "T"), "R")
	text = echoes.ReplaceAllString(text, "interrupted")
	text = before.ReplaceAllString(after.ReplaceAllString(text, "$1  "), "  T")
	text = timelines.ReplaceAllString(text, "---")
	text = lately.ReplaceAllString(text, "~ $1") + "\n"
	path := filepath.Join("testdata", "screens", name+".txt")
	if *updateScreens {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if string(want) != text {
		s.t.Errorf("%s: the screen shows\n%s\nnot\n%s", name, text, want)
	}
}

// write puts a file where the shell is.
func (s *screen) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

const shownScript = `
run = activity("shell.run")
flaky = activity("shell.run", retry = retry_policy(max_attempts = 9, initial_delay = "2s", backoff_factor = 1, jitter = 0))

def item(i):
    run("true" if i < 6 else "until test -e on; do sleep 0.05; done")

def nested(n):
    run("until test -e nested; do sleep 0.05; done")
    return n

def main():
    print("a line above")
    progress(0.25, "items")
    parallel.map(item, list(range(12)), limit = 2)
    progress(0.5, "retrying")
    status("nearly there")
    flaky("test -e healthy")
    progress(0.75, "nested")
    n = workflow(nested)(7)
    return wait_signal("go")
`

func TestExecOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 90, 24)
	s.write("shown.star", shownScript)
	s.types("clear; senpuki exec shown.star --id demo")
	s.is("exec-fan-out", s.until(` 6/12\b`, `6 steps done, 2 running`))
	s.write("on", "")
	s.is("exec-retry", s.until(`↻ 2 shell.run attempt 1 failed, next in`, `12/12`, `12 steps done, 0 running`))
	s.write("healthy", "")
	s.is("exec-nested", s.until(`demo\.1\.3/1 shell\.run`, `13 steps done, 1 running`))
	s.write("nested", "")
	s.is("exec-signal", s.until(`· 4 signal go waiting`, `1[45] steps done, 0 running`))
	s.tmux("resize-window", "-x", "20", "-y", "12")
	narrow := s.until(`^  ████░ 75% nested,…$`, `^  · 4 signal go wai…$`)
	for _, line := range strings.Split(narrow, "\n") {
		if len([]rune(line)) > 20 {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
	s.tmux("resize-window", "-x", "90", "-y", "24")
	s.until(`· 4 signal go waiting`)
	s.key("C-c")
	s.until(`interrupted; resume with: senpuki resume demo`, `^>$`)
	s.types("until [ $(tput cols) = 90 ]; do sleep 0.05; done; clear; senpuki resume demo; echo status $?")
	s.is("resume-signal", s.until(`· 4 signal go waiting`, `^shown demo; if it is`))
	s.tmux("run-shell", "-b", "cd "+s.dir+" && bin/senpuki signal demo go '{\"by\": \"me\"}' >signal.txt 2>&1")
	s.is("resume-end", s.until(`^status 0\n>$`))
}

// However many lines a script prints at once, each is there to be scrolled back to, and nothing else is between them.
func TestManyLinesOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 40, 15)
	s.write("lines.star", `
def main():
    n = 0
    for batch in range(4, 40):
        for i in range(batch):
            print("line", n)
            n += 1
        sleep("50ms")
    return n
`)
	s.types("clear; senpuki exec lines.star --id lines; echo status $?")
	s.until(`^status 0\n>$`)
	_, text, _ := strings.Cut(s.tmux("capture-pane", "-p", "-S", "-"), "resume lines\n")
	var want strings.Builder
	for i := range 774 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if !strings.HasPrefix(text, want.String()) {
		t.Errorf("774 lines are\n%s", text)
	}
}

// A terminal that can do nothing is given lines.
func TestExecOnADumbTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 90, 24)
	s.write("dumb.star", "def main():\n    activity(\"shell.run\")(\"sleep 0.3\")\n")
	s.types("clear; TERM=dumb senpuki exec dumb.star --id dumb; echo status $?")
	s.until(`^step 1 shell\.run: done in`, `^status 0\n>$`)
}

func TestInterruptedTwiceOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 90, 24)
	s.write("long.star", "def main():\n    activity(\"shell.run\")(\"sleep 600\")\n")
	s.types("clear; senpuki exec long.star --id long; echo status $?")
	s.until(`1 shell\.run \d`)
	s.key("C-c")
	s.until(`interrupted; stopping, once more to stop at once`)
	s.tmux("run-shell", "sleep 0.2") // as fast as a person is; what is faster counts as one
	s.key("C-c")
	s.is("exec-interrupted-twice", s.until(`^status 130\n>$`))
}

// What the shell says of a process that is stopped and goes on is not written over, and the tree is there again below it.
func TestStoppedByTheTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 90, 24)
	s.write("two.star", "def main():\n    parallel([bind(wait_signal, \"a\"), bind(wait_signal, \"b\")])\n")
	// Without noflsh the terminal throws away, when C-z is pressed, what of a frame it has not shown yet; then nobody knows where its cursor is.
	s.types("stty noflsh; clear; senpuki exec two.star --id two; echo status $?")
	for range 2 {
		s.until(`^two two; if it`, `2\.1 signal b waiting`)
		s.key("C-z")
		s.until(`^>$`)
		s.types("echo meanwhile")
		s.until(`^meanwhile\n>$`)
		s.types("fg")
	}
	text := s.until(`2\.1 signal b waiting`)
	shown := regexp.MustCompile(`^two two; if it .*\n(?:.{0,3}\n\[1\]\+ +Stopped .*\n(?:status 1\d\d\n)?> echo meanwhile\nmeanwhile\n> fg\n.*senpuki exec two\.star.*\n){2}\S two two `)
	if !shown.MatchString(text) || strings.Count(text, "signal b waiting") != 1 {
		t.Errorf("the screen shows\n%s", text)
	}
	s.key("C-c")
	s.until(`interrupted; resume with: senpuki resume two`, `^>$`)
}

func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 100, 24)
	s.write("bad.star", "def main():\n    activity(\"shell.run\", retry = retry_policy(max_attempts = 1))(\"exit 3\")\n")
	s.write("wait.star", "def main(n):\n    activity(\"shell.run\")(\"true\")\n    return wait_signal(\"go\")\n")
	s.types("clear; senpuki exec bad.star --id bad1 -q; senpuki deploy wait.star; for i in 1 2 3; do senpuki dispatch wait --arg n=$i --id wait$i; done; clear; echo ready")
	s.until(`^ready$`)
	s.types("clear; senpuki worker --allow shell >worker.log 2>&1 & clear; senpuki watch")
	s.is("watch", s.until(`running 3`, `workers +1`, `wait1 .*waits for a sig`, `wait2 .*waits for a sig`, `wait3 .*waits for a sig`))
	s.key("?")
	s.is("watch-help", s.until(`^ *Keys`))
	s.key("q") // closes the help only
	s.until(`running 3`)
	s.key("/")
	s.types("wait2")
	s.until(`wait2`)
	for begun := time.Now(); strings.Contains(s.shows(), "wait3") && time.Since(begun) < time.Minute; time.Sleep(20 * time.Millisecond) { // filtered
	}
	s.key("Enter")
	s.is("watch-one", s.until(`shell\.run`, `signal go`, `waits for a signal or an outcome`))
	s.key("c")
	s.until(`cancel wait2\? y/n`)
	s.key("y")
	s.until(`cancelled`)
	s.tmux("resize-window", "-x", "20", "-y", "8")
	s.until(`wait2`)
	for _, line := range strings.Split(s.shows(), "\n") {
		if len([]rune(line)) > 20 {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
	s.tmux("resize-window", "-x", "100", "-y", "24")
	s.key("C-c")
	s.until(`^>$`)
	s.types("kill %1; wait; clear; senpuki list --state cancelled | head -1; echo status $?")
	s.until(`^ID`, `^status 0$`)
}

// Tables are cut to the terminal's width and coloured, unless NO_COLOR says not to; a pipe that closes early is no error.
func TestTablesOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 160, 40)
	s.write("table.star", `
run = activity("shell.run", retry = retry_policy(max_attempts = 1))

def main(n):
    for i in range(3):
        run("echo a line that is longer than narrow terminals are wide, number %d" % i)
    for i in range(n):
        log.info("line %d" % i)
    return run("exit 3")
`)
	s.types("clear; senpuki exec table.star --arg n=5000 --id table1 -q 2>errors.txt; clear; echo ready")
	s.until(`^ready$`)
	for _, width := range []string{"160", "80", "20"} {
		s.tmux("resize-window", "-x", width, "-y", "40")
		for _, command := range []string{"list", "show table1", "history table1"} {
			s.types("clear; until [ $(tput cols) = " + width + " ]; do sleep 0.05; done; clear; senpuki " + command + "; echo end " + width + command[:4])
			text := s.until("^end " + width + command[:4] + `\n>$`)
			for _, line := range strings.Split(text, "\n") {
				if len([]rune(line)) > 160 {
					t.Errorf("%q is wider than the terminal", line)
				}
			}
			if command != "show table1" { // where it cuts depends on how long steps took
				s.is("table-"+strings.Fields(command)[0]+"-"+width, text)
			}
		}
	}
	s.tmux("resize-window", "-x", "100", "-y", "40")
	for _, k := range []struct {
		env     string
		colours bool
	}{{"", true}, {"NO_COLOR=1 ", false}} {
		s.types("clear; " + k.env + "senpuki list; echo coloured $? " + strings.TrimSpace(k.env))
		s.until(`^coloured 0 ?` + strings.TrimSpace(k.env) + `$`)
		if got := strings.Contains(s.tmux("capture-pane", "-p", "-e"), "\x1b[3"); got != k.colours {
			t.Errorf("%slist has colours: %v", k.env, got)
		}
	}
	for _, command := range []string{"list", "logs table1", "history table1", "history table1 --json", "show table1 --all"} {
		s.types("clear; senpuki " + command + " 2>noise.txt | head -c 10 >/dev/null; wc -c <noise.txt; echo after " + command)
		if text := s.until(`^after ` + command + `$`); !strings.HasPrefix(text, "0\n") {
			t.Errorf("%s | head: %s", command, text)
		}
	}
}

// What the source of a workflow says does not move the cursor of a terminal.
func TestSourcesOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 90, 24)
	for version, text := range map[string]string{"1": "\x1b[2J\x1b[Hone", "2": "\u009b2J\x1b[31mtwo"} {
		s.write(version+"/evil.star", "# "+text+"\ndef main():\n\treturn "+version+"\n")
	}
	s.types("clear; senpuki deploy 1; senpuki deploy 2 --note $(printf 'a\\033[2Jnote'); clear; echo begin; senpuki workflows show evil --source; senpuki workflows diff evil 1; echo end")
	text := s.until(`^end$`, `^>$`)
	const want = `begin
#  2J [31mtwo
def main():
        return 2
--- 1/evil.star
+++ 2/evil.star
@@ -1,3 +1,3 @@
-#  [2J [Hone
+#  2J [31mtwo
 def main():
-       return 1
+       return 2
end
>`
	if text != want {
		t.Errorf("the screen shows\n%s\nnot\n%s", text, want)
	}
	s.types("clear; echo begin; senpuki workflows show evil; echo end")
	s.until(`^begin\nworkflow +evil\n`, `^note +a \[2Jnote$`, `^end$`)
	s.types("clear; senpuki workflows rollback evil --to 1; clear; senpuki workflows show evil --source | cmp - 1/evil.star && echo same")
	s.until(`^same$`)
}
