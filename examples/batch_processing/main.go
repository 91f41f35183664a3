// Command batch_processing is senpuki with a picture server behind a bad connection.
package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// failing is how many of a hundred requests fail.
const failing = 45

// Photo is a picture that has been downloaded.
type Photo struct {
	Name string `json:"name"`
	Path string `json:"path"`
	File string `json:"file"` // relative to the gallery
}

// Thumbnail is a small copy of a picture.
type Thumbnail struct {
	File   string `json:"file"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("download_photo", downloadPhoto)
	reg.MustRegister("make_thumbnail", makeThumbnail)
	return reg
}

// draw is a number below n that depends on nothing but its words.
func draw(n uint32, words ...any) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, words...)
	x := h.Sum32() // FNV of short words differs in few of its bits
	x = (x ^ x>>16) * 0x45d9f3b
	return (x ^ x>>16) % n
}

// downloadPhoto stands for a request to a picture server. Whether it fails depends on
// the seed, the name and the number of the attempt: the same album always fails in the same way.
func downloadPhoto(ctx context.Context, name, dir string, seed int) (Photo, error) {
	if !strings.HasPrefix(name, "photo-") {
		return Photo{}, activities.Fail("NotFound", "the server has no picture "+name, activities.NotRetryable())
	}
	attempt := activities.Info(ctx).Attempt
	if draw(100, seed, name, attempt) < failing {
		return Photo{}, activities.Fail("ConnectionLost", fmt.Sprintf("attempt %d at %s was cut off", attempt, name))
	}
	p := Photo{Name: name, Path: filepath.Join(dir, name+".png"), File: name + ".png"}
	return p, writePNG(ctx, p.Path, photograph(name))
}

// photograph is a picture of a sky above hills, another one for every name.
func photograph(name string) image.Image {
	const width, height = 160, 120
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	hue, slope := uint8(draw(120, name, "hue")), int(draw(60, name, "slope"))
	for y := range height {
		for x := range width {
			c := color.RGBA{R: hue, G: 120 + hue/2, B: uint8(250 - y), A: 255}
			if y > 70+(x-80)*(x-80)*slope/20000 {
				c = color.RGBA{R: 30, G: 160 - hue, B: 40, A: 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// makeThumbnail scales the picture at path so that its longer side has size pixels.
func makeThumbnail(ctx context.Context, path string, size int) (Thumbnail, error) {
	f, err := os.Open(path)
	if err != nil {
		return Thumbnail{}, err
	}
	defer f.Close()
	photo, err := png.Decode(f)
	if err != nil {
		return Thumbnail{}, activities.Fail("NotAPicture", path+" cannot be decoded", activities.Cause(err), activities.NotRetryable())
	}
	b := photo.Bounds()
	longer := max(b.Dx(), b.Dy())
	small := image.NewRGBA(image.Rect(0, 0, b.Dx()*size/longer, b.Dy()*size/longer))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			small.Set(x, y, photo.At(b.Min.X+x*longer/size, b.Min.Y+y*longer/size))
		}
	}
	file := strings.TrimSuffix(filepath.Base(path), ".png") + ".thumb.png"
	t := Thumbnail{File: file, Width: small.Rect.Dx(), Height: small.Rect.Dy()}
	return t, writePNG(ctx, filepath.Join(filepath.Dir(path), file), small)
}

// writePNG writes a picture whole or not at all: an attempt that is killed leaves no half of one, and nothing that the next does not remove.
func writePNG(ctx context.Context, path string, img image.Image) error {
	return activities.ReplaceFile(ctx, path, func(w io.Writer) error { return png.Encode(w, img) })
}

func main() { cli.Main(registry()) }
