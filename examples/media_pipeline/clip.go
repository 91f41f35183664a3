// Clips: the YUV4MPEG2 format, grey pictures only.

package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/senpuki/senpuki/activities"
)

// Clip is a film: frames of one size, a byte for each pixel.
type Clip struct {
	Width, Height int
	Frames        [][]byte
}

const frameMark = "FRAME\n"

// readClip reads a clip; what is none is a failure that no attempt mends.
func readClip(path string) (*Clip, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, badClip(path, err.Error())
	}
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	c := &Clip{}
	if n, _ := fmt.Sscanf(string(header), "YUV4MPEG2 W%d H%d F1:1 Cmono", &c.Width, &c.Height); n != 2 {
		return nil, badClip(path, "it does not begin with YUV4MPEG2, a width, a height, F1:1 and Cmono")
	}
	size := c.Width * c.Height
	if size < 1 || size > 1<<24 {
		return nil, badClip(path, fmt.Sprintf("%d x %d is no size of a picture", c.Width, c.Height))
	}
	for len(rest) > 0 {
		frame, ok := bytes.CutPrefix(rest, []byte(frameMark))
		if !ok || len(frame) < size {
			return nil, badClip(path, fmt.Sprintf("frame %d is damaged", len(c.Frames)))
		}
		c.Frames = append(c.Frames, frame[:size])
		rest = frame[size:]
	}
	if len(c.Frames) == 0 {
		return nil, badClip(path, "it has no frame")
	}
	return c, nil
}

func badClip(path, why string) error {
	return activities.Fail("BadClip", path+" is not a clip: "+why, activities.NotRetryable())
}

// encoded is the clip as a file.
func (c *Clip) encoded() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "YUV4MPEG2 W%d H%d F1:1 Cmono\n", c.Width, c.Height)
	for _, f := range c.Frames {
		b.WriteString(frameMark)
		b.Write(f)
	}
	return b.Bytes()
}

// scaled is the clip with another height and the same proportions.
func (c *Clip) scaled(height int) *Clip {
	s := &Clip{Width: max(c.Width*height/c.Height, 1), Height: height}
	for _, f := range c.Frames {
		frame := make([]byte, 0, s.Width*s.Height)
		for y := range s.Height {
			for x := range s.Width {
				frame = append(frame, f[y*c.Height/s.Height*c.Width+x*c.Width/s.Width])
			}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

// brightness is the mean of a frame, contrast how far its pixels are from that.
func brightness(frame []byte) (mean, contrast int) {
	for _, p := range frame {
		mean += int(p)
	}
	mean /= len(frame)
	for _, p := range frame {
		contrast += max(int(p)-mean, mean-int(p))
	}
	return mean, contrast / len(frame)
}
