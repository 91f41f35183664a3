// A cell of the tables: one engine, one store, one workload, in a process of its own.

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/cmd/senpuki/bench"
)

// job is what a child is told.
type job struct {
	Peer, Workload string
	At             place
	Size           float64
	Role           role
	Phase          int    // of W6
	Profile        string // directory; "": no profiles
}

// answer is what it says at its end, on a line of its own.
type answer struct {
	Figure float64
	Error  string
}

const mark = "answer: "

// obey is the child.
func obey(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c.job); err != nil {
		return err
	}
	c.at = c.job.At
	var w workload
	for _, one := range workloads {
		if one.name == c.job.Workload {
			w = one
		}
	}
	for _, p := range peers {
		if p.name == c.job.Peer {
			c.engine = p.make()
		}
	}
	if w.name == "W6" {
		stallAt.Store(int64(c.scaled(1000)))
	}
	debug.SetGCPercent(200) // for all: what Senpuki's command has
	floor := make([]byte, 16<<20)
	defer runtime.KeepAlive(floor)
	ctx := context.Background()
	end := func() error { return nil }
	if c.job.Profile != "" {
		name := strings.ReplaceAll(fmt.Sprint(w.name, "-", c.job.Peer, "-", c.at.Kind, "-", os.Getpid()), " ", "_")
		var err error
		if end, err = bench.Profile(c.job.Profile, name); err != nil {
			return err
		}
	}
	c.begun = time.Now()
	var a answer
	err := c.engine.open(ctx, c.at, c.job.Role)
	switch {
	case err != nil:
		err = fmt.Errorf("open: %w", err)
	case c.job.Role == asWorker:
		fmt.Println("ready")
		done, stop := signal.NotifyContext(ctx, os.Interrupt)
		go func() {
			_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has gone
			stop()
		}()
		<-done.Done()
		return end()
	default:
		a.Figure, err = w.run(ctx, &c)
		err = errors.Join(err, end())
	}
	if err != nil {
		a.Error = err.Error()
	}
	out, _ := json.Marshal(a)
	fmt.Println(mark + string(out))
	if w.name == "W6" {
		select {} // to be killed
	}
	return nil
}

// start starts a child; lines are what it prints.
func start(ctx context.Context, j job) (*exec.Cmd, *bufio.Scanner, *bytes.Buffer, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", string(text))
	var noise bytes.Buffer
	cmd.Stderr = &noise
	out, err := cmd.StdoutPipe()
	if err == nil {
		_, err = cmd.StdinPipe() // closed when this process ends
	}
	if err == nil {
		err = cmd.Start()
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return cmd, lines, &noise, err
}

// ask runs a child until it answers, and kills it.
func ask(ctx context.Context, j job) (float64, error) {
	cmd, lines, noise, err := start(ctx, j)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), mark); ok {
			var a answer
			if err := json.Unmarshal([]byte(text), &a); err != nil {
				return 0, err
			}
			if a.Error != "" {
				return 0, errors.New(a.Error)
			}
			return a.Figure, nil
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("it ended: %s", lastLine(noise.String()))
}

func lastLine(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return line
		}
	}
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// cell measures one figure in a fresh store.
func (r *run) cell(p peer, kind string, w workload) (figure float64, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.limit)
	defer cancel()
	j := job{Peer: p.name, Workload: w.name, Size: r.size, Role: asBoth, Phase: 1, At: place{Kind: kind}, Profile: r.profile}
	if j.At.Dir, err = os.MkdirTemp(r.dir, "cell-*"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(j.At.Dir)
	if kind == "postgres" {
		var drop func()
		if j.At.URL, drop, err = r.database(ctx, filepath.Base(j.At.Dir)); err != nil {
			return 0, err
		}
		defer drop()
	}
	n := workersOf[w.name]
	for i := range n {
		worker := j
		worker.Role = asWorker
		if i == 0 { // makes the tables
			c := j
			c.Role, c.Workload = asBoth, "W4"
			c.Size = 0.005
			if _, err := ask(ctx, c); err != nil {
				return 0, err
			}
		}
		cmd, lines, noise, err := start(ctx, worker)
		if err != nil {
			return 0, err
		}
		defer func() {
			if r.profile != "" { // it has something to write
				_ = cmd.Process.Signal(os.Interrupt)
				defer time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
			} else {
				_ = cmd.Process.Kill()
			}
			_ = cmd.Wait()
		}()
		if !lines.Scan() {
			return 0, fmt.Errorf("a worker ended: %s", lastLine(noise.String()))
		}
	}
	if n > 0 {
		j.Role = asClient
	}
	if figure, err = ask(ctx, j); err != nil || w.name != "W6" {
		return figure, err
	}
	j.Phase = 2 // the first process was killed when it had answered
	return ask(ctx, j)
}

// database makes one of its own on the server; drop removes it.
func (r *run) database(ctx context.Context, name string) (url string, drop func(), err error) {
	c, err := pgx.Connect(ctx, r.server)
	if err != nil {
		return "", nil, err
	}
	defer c.Close(context.Background())
	name = strings.ReplaceAll(name, "-", "_")
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	return strings.Replace(r.server, "/postgres?", "/"+name+"?", 1), func() {
		ctx := context.Background()
		if c, err := pgx.Connect(ctx, r.server); err == nil {
			_, _ = c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
			_ = c.Close(ctx)
		}
	}, nil
}
