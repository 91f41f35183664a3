// Tables that fit the terminal.

package cli

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// table is rows of cells below a head. The columns after fixed may be cut when
// the terminal is narrow; on anything but a terminal nothing is.
type table struct {
	head  []string
	fixed int
	rows  [][]string
	style func(column int, text string) string // colour, on terminals only; may be nil
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = legible(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table to w.
func (t *table) write(w io.Writer, color bool) {
	width, tty := terminal(w)
	for _, line := range t.lines(width, tty && color) {
		fmt.Fprintln(w, line)
	}
}

// lines lays the table out for a width; 0 is any.
func (t *table) lines(width int, color bool) []string {
	const gap = 2
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	if width > 0 {
		total := gap * (len(widths) - 1)
		for _, w := range widths {
			total += w
		}
		const narrow = 8
		for total > width {
			widest := -1
			for i := t.fixed; i < len(widths); i++ {
				if widths[i] > narrow && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			total--
		}
	}
	out := make([]string, 0, len(t.rows)+1)
	for n, row := range append([][]string{t.head}, t.rows...) {
		var b strings.Builder
		for i, cell := range row {
			cell = ansi.Truncate(cell, widths[i], "…")
			pad := strings.Repeat(" ", widths[i]-lipgloss.Width(cell)+gap)
			switch {
			case !color:
			case n == 0:
				cell = styleDim.Render(cell)
			case t.style != nil:
				cell = t.style(i, cell)
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(pad)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if width > 0 {
			line = ansi.Truncate(line, width, "…")
		}
		out = append(out, line)
	}
	return out
}

// stateStyle colours a state.
func stateStyle(text string) string {
	switch strings.TrimSpace(text) {
	case "completed", "done":
		return styleGood.Render(text)
	case "failed", "stuck", "timed out", "refused":
		return styleBad.Render(text)
	case "running", "retrying":
		return styleBusy.Render(text)
	}
	return text
}

// color tells whether colours are wanted at all.
func (a *app) color() bool { return a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" }
