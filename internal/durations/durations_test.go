package durations_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/internal/durations"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "0.4s": 400 * time.Millisecond, "1h 30m": 90 * time.Minute, "1h30m": 90 * time.Minute,
		"2d": 48 * time.Hour, "1.5w": 252 * time.Hour, "0s": 0, "007s": 7 * time.Second, "1m1m": 2 * time.Minute, "1s 1h": time.Hour + time.Second,
		" 1h \t 30m\n": 90 * time.Minute, "0.1s 0.2s": 300 * time.Millisecond, "1ms1m": time.Minute + time.Millisecond,
		"0.0000000014s": 1, "0.0000000016s": 2, "15000w": 15000 * 7 * 24 * time.Hour,
	} {
		if got, err := durations.Parse(text); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"": durations.ErrSyntax, " ": durations.ErrSyntax, "1": durations.ErrSyntax, "s": durations.ErrSyntax, "1.s": durations.ErrSyntax, ".5s": durations.ErrSyntax,
		"1 s": durations.ErrSyntax, "1.2.3s": durations.ErrSyntax, "1e3s": durations.ErrSyntax, "1us": durations.ErrSyntax, "1ns": durations.ErrSyntax, "1S": durations.ErrSyntax,
		"1y": durations.ErrSyntax, "1h,30m": durations.ErrSyntax, "+1s": durations.ErrSyntax, "1h -30m": durations.ErrSyntax, "soon": durations.ErrSyntax, "١s": durations.ErrSyntax,
		"1s\u00a01s": durations.ErrSyntax, "-": durations.ErrSyntax, "--1s": durations.ErrSyntax, "-soon": durations.ErrSyntax,
		"-1s": durations.ErrNegative, " - 1h 30m": durations.ErrNegative, "-0s": durations.ErrNegative,
		"16000w": durations.ErrRange, strings.Repeat("9", 400) + "s": durations.ErrRange,
	} {
		if got, err := durations.Parse(text); !errors.Is(err, want) || got != 0 {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
}
