// How things look: states, durations, ages, failures, JSON.

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// terminal tells whether w is a terminal, and how wide it is (0: unknown or none).
func terminal(w io.Writer) (width int, ok bool) {
	if o, ok := w.(*output); ok {
		w = o.to
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

// live reports whether a display that moves the cursor may be written to w.
func (a *app) live(w io.Writer) bool {
	_, tty := terminal(w)
	return tty && a.env("TERM") != "dumb"
}

// stateText is an execution's state for people.
func stateText(x engine.Execution) string {
	if x.Stuck != nil && !x.State.Terminal() {
		return stuckState
	}
	return strings.ReplaceAll(string(x.State), "_", " ")
}

// duration is a length of time in at most two units.
func duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d == 0:
		return "0s"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	}
	seconds := int64(d / time.Second)
	units := []struct {
		name string
		size int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	for i, u := range units {
		if seconds < u.size {
			continue
		}
		text := fmt.Sprintf("%d%s", seconds/u.size, u.name)
		if i+1 < len(units) {
			if rest := seconds % u.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

// ago is how long before now t was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + coarse(-d)
	case d < time.Second:
		return "now"
	}
	return coarse(d) + " ago"
}

// coarse is a length of time in one unit, for tables.
func coarse(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// moment is a time for people: the day and second, and how long ago.
func moment(t, now time.Time) string {
	return fmt.Sprintf("%s (%s)", t.Local().Format("2006-01-02 15:04:05"), ago(t, now))
}

// printRaw prints one JSON value: on lines of its own for a terminal, else as it is.
func (a *app) printRaw(raw []byte) error {
	if len(raw) == 0 {
		raw = []byte("null")
	}
	if _, tty := terminal(a.out); tty {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err == nil {
			raw = b.Bytes()
		}
	}
	return a.writeJSON(raw)
}

// printDocument prints v as one JSON document.
func (a *app) printDocument(v any) error {
	raw, err := marshal(v)
	if err != nil {
		return err
	}
	return a.printRaw(raw)
}

// printLine prints v as a document on a line of its own, also on a terminal: one of a stream.
func (a *app) printLine(v any) error {
	raw, err := marshal(v)
	if err != nil {
		return err
	}
	return a.writeJSON(raw)
}

// writeJSON ends a document. Its texts may have control characters that JSON need not escape, and a terminal obeys.
func (a *app) writeJSON(raw []byte) error {
	if _, tty := terminal(a.out); tty {
		raw = escaped(raw)
	}
	_, err := fmt.Fprintf(a.out, "%s\n", bytes.TrimSpace(raw))
	return err
}

// escaped is JSON with all control characters in its texts escaped.
func escaped(raw []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(raw) {
		if unicode.IsControl(r) && r >= 0x7f { // of those below, texts have none, and what is between them may
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// oneLine is text without line breaks and control characters, cut to n characters.
func oneLine(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	text = maskText(strings.TrimSpace(text)) // before it is cut: half a URL cannot be told from other text
	if runes := []rune(text); n > 0 && len(runes) > n {
		return string(runes[:max(n-1, 0)]) + "…"
	}
	return text
}

// lines is text without control characters, which would clear a terminal or write over it, but with its line breaks.
func lines(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, text)
}

// legible is text that a terminal shows and does not obey, without passwords.
func legible(text string) string { return maskText(lines(text)) }

// failureText is a failure in one line.
func failureText(f *activities.Failure) string {
	if f == nil {
		return ""
	}
	if f.Message == "" {
		return f.Kind
	}
	return oneLine(f.Kind+": "+f.Message, 0)
}

// writeFailure prints a failure with its backtrace and causes.
func writeFailure(w io.Writer, f *activities.Failure) {
	for prefix := "error: "; f != nil; f, prefix = f.Cause, "caused by: " {
		text := f.Kind
		if f.Message != "" {
			text += ": " + f.Message
		}
		fmt.Fprintf(w, "%s%s\n", prefix, legible(text))
		if f.Activity != "" {
			fmt.Fprintf(w, "  in activity %s", f.Activity)
			if f.Attempts > 0 {
				fmt.Fprintf(w, ", %s", count(f.Attempts, "attempt"))
			}
			fmt.Fprintln(w)
		}
		if len(f.Data) > 0 && string(f.Data) != "{}" && string(f.Data) != "null" {
			fmt.Fprintf(w, "  data: %s\n", legible(string(f.Data)))
		}
		if f.Traceback != "" {
			for line := range strings.Lines(strings.TrimRight(lines(f.Traceback), "\n") + "\n") {
				fmt.Fprintf(w, "  %s", line)
			}
		}
	}
}

// count is "1 step" or "2 steps", "1 try" or "2 tries".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// logText is a log line for people.
func logText(l engine.LogLine) string { return legible(lineText(l)) }

func lineText(l engine.LogLine) string {
	text := l.Message
	if l.Level != "" && l.Level != "print" {
		text = strings.ToUpper(l.Level) + " " + text
	}
	dec := json.NewDecoder(bytes.NewReader(l.Fields))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return text
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		shown := string(value)
		var s string
		if json.Unmarshal(value, &s) == nil && s != "" && !strings.ContainsAny(s, " \t\r\n\"=") {
			shown = s
		}
		text += fmt.Sprintf(" %s=%s", name, shown)
	}
	return text
}
