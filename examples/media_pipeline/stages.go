// The stages of the pipeline, each an activity.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/senpuki/senpuki/activities"
)

// Probed is what is known of a clip before anything is done with it.
type Probed struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	Frames int `json:"frames"`
}

func probe(ctx context.Context, clip, out string, pace Pace) (Probed, error) {
	if err := note(out, "probe"); err != nil {
		return Probed{}, err
	}
	c, err := readClip(clip)
	if err != nil {
		return Probed{}, err
	}
	return Probed{c.Width, c.Height, len(c.Frames)}, pace.work(ctx)
}

// findFlashes returns the frames that are much brighter or darker than the one before:
// they may harm people with photosensitive epilepsy.
func findFlashes(ctx context.Context, clip, out string, pace Pace) ([]int, error) {
	if err := note(out, "find_flashes"); err != nil {
		return nil, err
	}
	c, err := readClip(clip)
	if err != nil {
		return nil, err
	}
	flashes := []int{}
	for i := 1; i < len(c.Frames); i++ {
		before, _ := brightness(c.Frames[i-1])
		now, _ := brightness(c.Frames[i])
		if max(now-before, before-now) > 40 {
			flashes = append(flashes, i)
		}
	}
	return flashes, pace.work(ctx)
}

// encode writes the frames from first up to before end, scaled, and returns the file's name.
func encode(ctx context.Context, clip, out string, height, first, end int, pace Pace) (string, error) {
	name := fmt.Sprintf("%dp/%04d.y4m", height, first)
	if err := note(out, "encode "+name); err != nil {
		return "", err
	}
	c, err := readClip(clip)
	if err != nil {
		return "", err
	}
	if first < 0 || first >= end || end > len(c.Frames) || height < 1 {
		return "", activities.Fail("BadPart", fmt.Sprintf("%s has no frames %d to %d of height %d", clip, first, end, height), activities.NotRetryable())
	}
	c.Frames = c.Frames[first:end]
	if err := pace.work(ctx); err != nil {
		return "", err
	}
	return name, write(ctx, filepath.Join(out, filepath.FromSlash(name)), c.scaled(height).encoded())
}

// labelScenes stands for a model that says what is to be seen; each label with its first frame.
func labelScenes(ctx context.Context, clip, out string, pace Pace) ([]Scene, error) {
	if err := note(out, "label_scenes"); err != nil {
		return nil, err
	}
	c, err := readClip(clip)
	if err != nil {
		return nil, err
	}
	var scenes []Scene
	for i, f := range c.Frames {
		label := "day"
		switch mean, _ := brightness(f); {
		case mean < 55:
			label = "night"
		case mean < 70:
			label = "dawn"
		}
		if len(scenes) == 0 || scenes[len(scenes)-1].Label != label {
			scenes = append(scenes, Scene{i, label})
		}
	}
	return scenes, pace.work(ctx)
}

// Scene is a label and the frame from which on it holds.
type Scene struct {
	From  int    `json:"from"`
	Label string `json:"label"`
}

// pickPoster stands for a model that picks the frame to advertise a film with: that of the most contrast.
func pickPoster(ctx context.Context, clip, out string, pace Pace) (int, error) {
	if err := note(out, "pick_poster"); err != nil {
		return 0, err
	}
	c, err := readClip(clip)
	if err != nil {
		return 0, err
	}
	best, most := 0, -1
	for i, f := range c.Frames {
		if _, contrast := brightness(f); contrast > most {
			best, most = i, contrast
		}
	}
	return best, pace.work(ctx)
}

// packageClip joins the parts of every rendition to one file and returns the files' digests. It
// writes manifest.json last: where that is, all the rest is.
func packageClip(ctx context.Context, out string, renditions map[string][]string, about json.RawMessage, pace Pace) (map[string]string, error) {
	if err := note(out, "package_clip"); err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for name, parts := range renditions {
		whole := &Clip{}
		for _, part := range parts {
			c, err := readClip(filepath.Join(out, filepath.FromSlash(part)))
			if err != nil {
				return nil, err
			}
			whole.Width, whole.Height = c.Width, c.Height
			whole.Frames = append(whole.Frames, c.Frames...)
		}
		text := whole.encoded()
		if err := write(ctx, filepath.Join(out, name+".y4m"), text); err != nil {
			return nil, err
		}
		digests[name] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	if err := pace.work(ctx); err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	e := json.NewEncoder(&manifest)
	e.SetIndent("", "  ")
	if err := e.Encode(map[string]any{"about": about, "sha256": digests}); err != nil {
		return nil, err
	}
	return digests, write(ctx, filepath.Join(out, "manifest.json"), manifest.Bytes())
}
