// A server process, its directory, and what stops it.

package servertest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a server may take to answer.
const patience = time.Minute

// errMissing says which program a server needs.
type errMissing string

func (e errMissing) Error() string { return string(e) }

// server is started when it is first asked for.
type server struct {
	env  string // names a URL of one that runs already
	make func() (url string, err error)

	once sync.Once
	at   string
	err  error
}

// url is where the server is; it skips or fails the test when there is none.
func (s *server) url(t testing.TB) string {
	t.Helper()
	err := s.start()
	var missing errMissing
	switch {
	case errors.As(err, &missing) && os.Getenv("CI") != "true":
		t.Skipf("%v (or set %s)", missing, s.env)
	case err != nil:
		t.Fatal(err)
	}
	return s.at
}

// start starts the server, once.
func (s *server) start() error {
	s.once.Do(func() {
		if s.at = os.Getenv(s.env); s.at == "" {
			s.at, s.err = s.make()
		}
	})
	return s.err
}

// owner is whom a server runs as: servers refuse to be root.
type owner struct {
	uid, gid int // -1: as we are
}

func newOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{-1, -1}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return owner{uid, gid}, nil
		}
	}
	return owner{}, errMissing("a server cannot be run as root, and there is neither a user postgres nor nobody")
}

// directory makes one that the owner may write to. Its name is short: it holds
// a socket, whose path may not be long.
func (o owner) directory() (string, error) {
	dir, err := os.MkdirTemp("", "snpk")
	if err == nil && o.uid >= 0 {
		err = os.Chown(dir, o.uid, o.gid)
	}
	return dir, err
}

// command is one that runs as the owner, in dir, and says nothing of ours.
func (o owner) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }), "HOME="+dir, "LC_ALL=C")
	o.confine(cmd)
	return cmd
}

// supervise runs a server until this process ends, and then removes dir.
const supervise = `
dir=$1; shift
"$@" </dev/null &
server=$!
read -r line
kill -INT $server
wait $server
cd /
rm -rf "$dir"
`

// serve starts a server whose directory is dir and waits until it answers.
func (o owner) serve(dir string, ready func() error, name string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := o.command(dir, "/bin/sh", append([]string{"-c", supervise, "sh", dir, name}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if _, err := cmd.StdinPipe(); err != nil { // open as long as this process lives
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	heldMu.Lock()
	held = append(held, cmd)
	heldMu.Unlock()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err = ready(); err == nil {
			return nil
		}
		if time.Now().After(until) {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%s does not answer: %w\n%s", name, err, said)
		}
	}
}

// held keeps the pipes from being collected and closed.
var (
	heldMu sync.Mutex
	held   []*exec.Cmd
)

// find looks for a program on the PATH and then in other directories.
func find(name string, patterns ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern)
		slices.Sort(dirs)
		for _, dir := range slices.Backward(dirs) {
			if path := filepath.Join(dir, name); exec.Command(path, "--version").Run() == nil {
				return path, nil
			}
		}
	}
	return "", errMissing(name + " is missing: install it for the tests that need a real server")
}

// unique is a word that no other test has.
func unique() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
