//go:build unix

// Package servertest starts throwaway servers for tests: PostgreSQL and Redis
// on ports of the loopback interface, with their data in a temporary directory.
//
// A test binary has one server of each kind, started when the first test asks
// for it and gone with the process, however that ends. [Postgres] and [Redis]
// return its URL; [Start] is for tests that stop, pause or kill one of their own.
package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Kind is a kind of server.
type Kind string

// The kinds of servers.
const (
	KindPostgres Kind = "postgres"
	KindRedis    Kind = "redis"
)

// Server is one server.
type Server struct {
	kind Kind
	dir  string
	port int
	bin  string // of the server
	args []string

	mu      sync.Mutex // guards all below
	process *exec.Cmd
	hold    io.WriteCloser // when it is closed, also by our death, the server ends
	log     lines
}

// lines is what a server complains of.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startPatience is how long a server may take to answer.
const startPatience = time.Minute

var (
	shared = map[Kind]*Server{}
	failed = map[Kind]error{}
	mu     sync.Mutex // guards both
)

// Postgres returns a URL of a schema of its own on the shared PostgreSQL.
func Postgres(t testing.TB) string {
	t.Helper()
	return one(t, KindPostgres).URL() + "&schema=" + unique(t)
}

// Redis returns the URL of the shared Redis.
func Redis(t testing.TB) string {
	t.Helper()
	return one(t, KindRedis).URL()
}

var names struct {
	sync.Mutex
	n int
}

// unique is a name that no other test of this process has.
func unique(testing.TB) string {
	names.Lock()
	defer names.Unlock()
	names.n++
	return fmt.Sprintf("t%d_%d", os.Getpid(), names.n)
}

func one(t testing.TB, kind Kind) *Server {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if shared[kind] == nil && failed[kind] == nil {
		s, err := start(kind, nil)
		if err != nil {
			failed[kind] = err
		} else {
			shared[kind] = s
		}
	}
	if err := failed[kind]; err != nil {
		missing(t, err)
	}
	return shared[kind]
}

// missing skips a test whose server cannot be had; where nothing may be skipped it fails.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// Start starts a server of a test's own, with more arguments; it ends with the test.
func Start(t testing.TB, kind Kind, args ...string) *Server {
	t.Helper()
	s, err := start(kind, args)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(s.end)
	return s
}

// Launch starts a server for a program that is no test; end stops and removes it.
func Launch(kind Kind, args ...string) (s *Server, end func(), err error) {
	if s, err = start(kind, args); err != nil {
		return nil, nil, err
	}
	return s, s.end, nil
}

func start(kind Kind, args []string) (*Server, error) {
	s := &Server{kind: kind}
	var err error
	if s.bin, err = find(kind); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "senpuki-"+string(kind)+"-*"); err != nil {
		return nil, err
	}
	if err = s.prepare(args); err == nil {
		err = s.Up()
	}
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// find looks for a server's program.
func find(kind Kind) (string, error) {
	name := map[Kind]string{KindPostgres: "postgres", KindRedis: "redis-server", KindPooler: "pgbouncer"}[kind]
	if path, err := exec.LookPath(name); err == nil {
		if kind != KindPostgres { // a program's name may say what it does
			return path, nil
		}
		if path, err = filepath.EvalSymlinks(path); err == nil { // its tools are beside it
			return path, nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the patterns are right
	sbin, _ := filepath.Glob("/usr/sbin/" + name)
	if found = append(found, sbin...); len(found) > 0 {
		slices.Sort(found)
		return found[len(found)-1], nil
	}
	return "", fmt.Errorf("there is no %s here: install it, for Debian with apt-get install %s", name, map[Kind]string{KindPostgres: "postgresql", KindRedis: "redis-server", KindPooler: "pgbouncer"}[kind])
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// prepare makes the data directory and decides on the arguments.
func (s *Server) prepare(args []string) error {
	if err := own(s.dir); err != nil {
		return err
	}
	port := strconv.Itoa(s.port)
	if s.kind == KindRedis {
		s.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no"}, args...)
		return nil
	}
	if s.kind == KindPooler {
		return s.configurePooler(shared[KindPostgres])
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(filepath.Join(filepath.Dir(s.bin), "initdb"), "-D", data, "-U", "senpuki", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir = s.dir
	unprivileged(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.args = append([]string{
		"-D", data, "-h", "127.0.0.1", "-p", port, "-k", s.dir, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
		"-c", "log_min_messages=fatal",
	}, args...)
	return nil
}

// URL is where clients find the server.
func (s *Server) URL() string {
	if s.kind == KindRedis {
		return fmt.Sprintf("redis://127.0.0.1:%d", s.port)
	}
	return fmt.Sprintf("postgres://senpuki@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Addr is its host and port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Up starts the server and waits until it answers.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return nil
	}
	// The shell ends the server when it is told to, and removes its data as well when its standard
	// input is closed: our death closes it.
	words := append([]string{"-c", `dir=$1; shift; "$@" & pid=$!; read _; told=$?; kill -INT $pid 2>/dev/null; wait $pid; [ $told = 0 ] || rm -rf "$dir"`, "sh", s.dir, s.bin}, s.args...)
	cmd := exec.Command("sh", words...)
	cmd.Dir = s.dir
	cmd.Stderr = &s.log
	cmd.WaitDelay = 5 * time.Second // should a child outlive the server
	unprivileged(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process, s.hold = cmd, stdin
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 200*time.Millisecond) {
		if s.answers(ctx) {
			return nil
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %s", s.bin, s.log.String())
		}
	}
}

// answers reports whether the server takes requests.
func (s *Server) answers(ctx context.Context) bool {
	if s.kind == KindPostgres {
		return exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.bin), "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)).Run() == nil
	}
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if s.kind == KindPooler { // what is behind it answers already
		return true
	}
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return false
	}
	reply := make([]byte, 7)
	_, err = io.ReadFull(c, reply)
	return err == nil && strings.HasPrefix(string(reply), "+PONG")
}

// Down stops the server as an administrator does who does not wait for clients.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_, _ = io.WriteString(s.hold, "stop\n")
	_ = s.process.Wait() // however it ends
	s.process = nil
}

// Signal sends a signal to all processes of the server: SIGKILL, SIGSTOP, SIGCONT.
func (s *Server) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("the server is down")
	}
	all, err := children(s.process.Process.Pid)
	// It must not make a child that the signal would miss: one that outlives a killed server may
	// wait for ever for a lock that nobody holds any more.
	errs := []error{err, send(syscall.SIGSTOP, all)}
	for i := 0; i < len(all); i++ {
		more, err := children(all[i])
		errs, all = append(errs, err), append(all, more...)
	}
	return errors.Join(append(errs, send(sig, all))...)
}

// send signals processes; that one has ended is no error.
func send(sig syscall.Signal, pids []int) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// children are the processes that a process has made and that have not ended.
func children(parent int) (list []int, err error) {
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(parent)).Output()
	if err != nil { // it has none
		return nil, nil //nolint:nilerr // ps tells so
	}
	for _, word := range strings.Fields(string(out)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		list = append(list, child)
	}
	return list, nil
}

func (s *Server) end() {
	s.Down()
	_ = os.RemoveAll(s.dir) // what is left is in the temporary directory
}
