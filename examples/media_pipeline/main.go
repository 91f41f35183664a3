// Command media_pipeline is senpuki with the stages of a small video pipeline.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	for name, fn := range map[string]any{
		"probe": probe, "find_flashes": findFlashes, "encode": encode,
		"label_scenes": labelScenes, "pick_poster": pickPoster, "package_clip": packageClip,
	} {
		reg.MustRegister(name, fn)
	}
	return reg
}

// Pace is the last argument of every stage: how long it takes. The clips here are
// tiny; a stage that reads a real film would need no such argument.
type Pace struct {
	Seconds float64 `json:"seconds,omitempty"`
}

// work takes its time, says now and then that it is alive, and ends when the attempt does.
func (p Pace) work(ctx context.Context) error {
	const beats = 10
	beat := time.NewTicker(max(time.Duration(p.Seconds/beats*float64(time.Second)), time.Microsecond))
	defer beat.Stop()
	for done := range beats {
		select {
		case <-beat.C:
			activities.Heartbeat(ctx, float64(done+1)/beats)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// note keeps, beside what a stage writes, that it was begun: after a crash one sees what ran twice.
func note(out, line string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(out, "begun.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line + "\n")
	return err
}

// write writes a file whole or not at all, and may do so again.
func write(ctx context.Context, path string, text []byte) error {
	return activities.ReplaceFile(ctx, path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

func main() { cli.Main(registry()) }
