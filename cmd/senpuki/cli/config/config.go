// Package config reads senpuki.toml: the settings of a workspace, and
// activities that are commands. The directory of the file is the root of the
// workspace. Everything in it is optional, an empty file marks the root only.
// What the file does not know it refuses, with the line and the nearest name,
// since a setting that is misspelt and ignored is found out at night.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// Name of the file.
const Name = "senpuki.toml"

// File is a configuration file. Relative paths in it are relative to its directory; see Below.
type File struct {
	Path string `toml:"-"` // absolute

	Database   string              `toml:"database"`
	Redis      string              `toml:"redis"`
	MaxSteps   int                 `toml:"max_steps"` // of a script's turn; 0: the default
	Worker     Worker              `toml:"worker"`
	Log        Log                 `toml:"log"`
	Retention  Retention           `toml:"retention"`
	Activities map[string]Activity `toml:"activities"`
}

// Worker is what a worker does.
type Worker struct {
	Queues      []string `toml:"queues"`
	Tags        []string `toml:"tags"`
	Concurrency int      `toml:"concurrency"`
	Allow       []string `toml:"allow"`
	Watch       string   `toml:"watch"`
	Listen      string   `toml:"listen"`
}

// Log is how logs are written.
type Log struct {
	Format string `toml:"format"`
	Level  string `toml:"level"`
}

// Retention is how long executions are kept after their end.
type Retention struct {
	Completed string `toml:"completed"`
	Failed    string `toml:"failed"`
}

// Activity is an activity that is a command.
type Activity struct {
	Command []string          `toml:"command"`
	Timeout string            `toml:"timeout"`
	Queue   string            `toml:"queue"`
	Dir     string            `toml:"dir"`
	Env     map[string]string `toml:"env"`
}

// Find returns the path of the file of a directory or its nearest parent, "" when there is none.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, Name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

// Read reads a file. The error has one line for each mistake, with the file as it was given and the line.
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration file %s", path)
	}
	if err != nil {
		return nil, err
	}
	f := &File{}
	if err := decode(path, bytes.TrimPrefix(text, []byte("\ufeff")), f); err != nil { // some editors of Windows write a byte order mark
		return nil, err
	}
	if f.Path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if f.Worker.Watch != "" {
		f.Worker.Watch = f.Below(f.Worker.Watch)
	}
	return f, nil
}

// Dir is the directory of the file.
func (f *File) Dir() string { return filepath.Dir(f.Path) }

// Below is a path that the file names, made absolute.
func (f *File) Below(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.Dir(), path)
}

// Register adds the activities of the file to a registry.
func (f *File) Register(r *activities.Registry) error {
	for _, name := range sorted(f.Activities) {
		a := f.Activities[name]
		words := append([]string(nil), a.Command...)
		if p := filepath.FromSlash(words[0]); filepath.Base(p) != p { // no name to be looked up
			words[0] = f.Below(p)
		}
		var timeout time.Duration
		if a.Timeout != "" {
			timeout, _ = activities.ParseDuration(a.Timeout) // was checked when it was read
		}
		command := activities.Command{Words: words, Dir: f.Below(a.Dir), Env: a.Env}
		if err := r.RegisterCommand(name, command, activities.Options{Timeout: timeout, Queue: a.Queue}); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}
