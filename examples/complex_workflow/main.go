// Command complex_workflow is senpuki with two sources, a slow model and a mailbox.
package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// Weather is what fetch_weather knows of a day.
type Weather struct {
	Celsius int  `json:"celsius"`
	Rain    bool `json:"rain"`
}

// Forecast is what the model makes of the figures.
type Forecast struct {
	Expected int     `json:"expected"`
	Trend    float64 `json:"trend"`
}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("fetch_sales", fetchSales)
	reg.MustRegister("fetch_weather", fetchWeather)
	reg.MustRegister("fit_model", fitModel)
	reg.MustRegister("notify", notify, activities.Options{Params: []string{"day", "text"}})
	return reg
}

// figures stand for what a source says of a day: the same numbers for the same day.
func figures(source, day string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(source + "/" + day))
	return h.Sum32()
}

// fetchSales returns the sales of the seven days before.
func fetchSales(ctx context.Context, day string) ([]int, error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return nil, activities.Fail("BadDay", fmt.Sprintf("%q is not a day such as 2030-03-01", day), activities.NotRetryable())
	}
	sales, base := make([]int, 7), figures("sales", day)
	for i := range sales {
		sales[i] = 80 + int(base>>i)%40
	}
	return sales, pause(ctx, 100*time.Millisecond)
}

func fetchWeather(ctx context.Context, day string) (Weather, error) {
	n := figures("weather", day)
	return Weather{Celsius: int(n % 30), Rain: n%3 == 0}, pause(ctx, 100*time.Millisecond)
}

// fitModel is the heavy step: a straight line through the sales, less on a rainy day.
func fitModel(ctx context.Context, sales []int, w Weather) (Forecast, error) {
	if len(sales) < 2 {
		return Forecast{}, activities.Fail("TooLittleData", "a line needs two points", activities.NotRetryable())
	}
	n := float64(len(sales))
	var sumX, sumY, sumXY, sumXX float64
	for i, y := range sales {
		x := float64(i)
		sumX, sumY, sumXY, sumXX = sumX+x, sumY+float64(y), sumXY+x*float64(y), sumXX+x*x
	}
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	next := (sumY-slope*sumX)/n + slope*n
	if w.Rain {
		next *= 0.8
	}
	return Forecast{Expected: int(next), Trend: float64(int(slope*100)) / 100}, pause(ctx, time.Second)
}

// notify appends to a file what would be sent, and returns what it has sent.
func notify(day, text string) (sent string, err error) {
	if err := os.MkdirAll("out", 0o755); err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join("out", "notifications.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text + "\n")
	return text, errors.Join(err, f.Close())
}

// pause takes time as a service would, and ends when the attempt does.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() { cli.Main(registry()) }
