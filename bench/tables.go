// Medians, and the tables that they are printed as.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/cmd/senpuki/bench"
)

// tables collects figures: one table a store, a row an engine, a column a workload.
type tables struct {
	r     *run
	Cells map[string]string     // by store, engine and workload
	Value map[string]float64    // the same, of those that have one
	Limit map[string][2]float64 // by store: ms of a raw commit of one row, rows a second in commits of 256
}

func newTables(r *run) *tables {
	return &tables{r: r, Cells: map[string]string{}, Value: map[string]float64{}, Limit: map[string][2]float64{}}
}

func key(kind, peer, workload string) string { return kind + "|" + peer + "|" + workload }

// load takes what an earlier run has kept; save keeps it.
func (t *tables) load(path string) error {
	text, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, t)
}

func (t *tables) save(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(t, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// raw measures what the drivers can write.
func (t *tables) raw() error {
	for _, kind := range []string{"sqlite full", "sqlite normal", "postgres"} {
		if !t.r.stores.MatchString(kind) || kind == "postgres" && t.r.server == "" {
			continue
		}
		var v [2]float64
		for i, batch := range []int{1, 256} {
			raw, err := t.open(kind, batch)
			if err != nil {
				return err
			}
			rate, err := written(t.r.ctx, raw, batch)
			if err := errors.Join(err, raw.Close()); err != nil {
				return err
			}
			v[i] = rate
		}
		t.Limit[kind] = [2]float64{1000 / v[0], v[1]}
		fmt.Fprintf(os.Stderr, "%-14s raw: %.3f ms a commit of one row, %.0f rows/s in commits of 256\n", kind, 1000/v[0], v[1])
	}
	return nil
}

func (t *tables) open(kind string, batch int) (bench.Raw, error) {
	switch kind {
	case "postgres":
		return bench.RawPostgres(t.r.ctx, t.r.server)
	case "sqlite normal":
		return bench.RawSQLite(t.r.ctx, t.r.dir, "NORMAL", batch)
	}
	return bench.RawSQLite(t.r.ctx, t.r.dir, "FULL", batch)
}

// written is how many rows a second go in, for two seconds.
func written(ctx context.Context, raw bench.Raw, batch int) (float64, error) {
	// The keys are those of 1,000 executions that go on together, 6 rows each, as the limit of `senpuki bench` has them.
	const together, length = 1000, 6
	runs, rows, data := make([]int64, batch), make([]int64, batch), make([][]byte, batch)
	for i := range data {
		data[i] = make([]byte, 160)
	}
	total, begun := 0, time.Now()
	for time.Since(begun) < 2*time.Second {
		for i := range batch {
			block, turn := total/(together*length), total%(together*length)
			runs[i], rows[i] = int64(block*together+turn%together), int64(turn/together)
			total++
		}
		if err := raw.Write(ctx, runs, rows, data); err != nil {
			return 0, err
		}
	}
	return float64(total) / time.Since(begun).Seconds(), nil
}

// measure runs a cell as often as was asked for; one that fails is not tried again.
func (t *tables) measure(p peer, kind string, w workload) {
	var all []float64
	var failed error
	for range t.r.repeat {
		v, err := t.r.cell(p, kind, w)
		if err != nil {
			failed = err
			break
		}
		all = append(all, v)
	}
	k := key(kind, p.name, w.name)
	delete(t.Value, k)
	switch {
	case errors.Is(failed, context.DeadlineExceeded):
		t.Cells[k] = fmt.Sprintf("over %v", t.r.limit)
	case failed != nil:
		t.Cells[k] = "fails: " + short(failed.Error())
	default:
		slices.Sort(all)
		t.Value[k] = all[(len(all)-1)/2]
		t.Cells[k] = figure(t.Value[k])
	}
	fmt.Fprintf(os.Stderr, "%-14s %-16s %-4s %s %s\n", kind, p.name, w.name, t.Cells[k], w.unit)
}

func short(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
	return text[:min(len(text), 80)]
}

func figure(v float64) string {
	switch {
	case v >= 1000:
		text := fmt.Sprintf("%.0f", v)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// cell is a figure, and how many times worse than Senpuki's it is.
func (t *tables) cell(kind, peer string, w workload) string {
	text, ok := t.Cells[key(kind, peer, w.name)]
	if !ok {
		return ""
	}
	mine, theirs := t.Value[key(kind, senpukiPeer.name, w.name)], t.Value[key(kind, peer, w.name)]
	if peer == senpukiPeer.name || mine == 0 || theirs == 0 {
		return text
	}
	ratio := theirs / mine
	if w.more {
		ratio = mine / theirs
	}
	return fmt.Sprintf("%s (%s x)", text, figure(ratio))
}

const beginMark, endMark = "<!-- peers: written by bench -->", "<!-- peers: end -->"

// print prints the tables, and writes them between the marks of a file.
func (t *tables) print() error {
	var b strings.Builder
	for _, kind := range []string{"sqlite full", "sqlite normal", "postgres"} {
		var names []string
		for _, p := range peers {
			if slices.ContainsFunc(workloads, func(w workload) bool { return t.Cells[key(kind, p.name, w.name)] != "" }) {
				names = append(names, p.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(&b, "### %s\n\n", map[string]string{"sqlite full": "SQLite, synchronous=FULL", "sqlite normal": "SQLite, synchronous=NORMAL", "postgres": "PostgreSQL, synchronous_commit=on"}[kind])
		fmt.Fprintf(&b, "The raw driver: %s ms for a commit of one row, %s rows/s in commits of 256.\n\n", figure(t.Limit[kind][0]), figure(t.Limit[kind][1]))
		b.WriteString("| workload | unit |")
		for _, p := range names {
			fmt.Fprintf(&b, " %s |", p)
		}
		b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(names)) + "\n")
		for _, w := range workloads {
			var line []string
			some := false
			for _, p := range names {
				c := t.cell(kind, p, w)
				some = some || c != ""
				line = append(line, c)
			}
			if some {
				fmt.Fprintf(&b, "| %s: %s | %s | %s |\n", w.name, w.title, w.unit, strings.Join(line, " | "))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("How each was set up:\n\n")
	for _, p := range peers {
		fmt.Fprintf(&b, "- **%s** (%s): %s.\n", p.name, p.version, p.settings)
	}
	text := b.String()
	fmt.Print(text)
	if t.r.out == "" {
		return nil
	}
	old, err := os.ReadFile(t.r.out)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return fmt.Errorf("%s has no section between %q and %q", t.r.out, beginMark, endMark)
	}
	head := fmt.Sprintf("%s\n\n%s, %s, %d processors, %s; medians of %d. In brackets how many times worse than Senpuki.\n\n", beginMark,
		time.Now().UTC().Format("2006-01-02"), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), runtime.Version(), t.r.repeat)
	return os.WriteFile(t.r.out, []byte(before+head+text+"\n"+endMark+after), 0o600)
}
