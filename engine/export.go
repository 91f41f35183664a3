// Exports: the journal of an execution as a document, to be replayed elsewhere.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// exportFormat is the version of the form of [Export].
const exportFormat = 1

// Export is an execution's latest run with all that its replay needs. Its JSON form may be kept and
// reviewed as a file; it holds the execution's input and the arguments and results of its steps.
type Export struct {
	Format   int               `json:"format"`
	ID       string            `json:"id"`
	Run      int               `json:"run"`
	Workflow string            `json:"workflow"`
	Function string            `json:"function"`
	State    backend.State     `json:"state"`
	Parent   string            `json:"parent,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Edition  int               `json:"edition"` // of the language
	Digest   string            `json:"digest"`
	Input    json.RawMessage   `json:"input,omitempty"` // stored form
	Rows     []json.RawMessage `json:"rows"`            // the journal
	Sources  json.RawMessage   `json:"sources"`
}

// Export reads an execution's latest run and its program.
func (e *Engine) Export(ctx context.Context, id string) (*Export, error) {
	rec, err := e.store.Execution(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("execution %s: %w", id, err)
	}
	prog, err := e.store.Program(ctx, rec.Digest)
	if err != nil {
		return nil, fmt.Errorf("the source %.12s of execution %s: %w", rec.Digest, id, err)
	}
	rows, err := e.journalRows(ctx, rec.Run)
	if err != nil {
		return nil, fmt.Errorf("journal of execution %s: %w", id, err)
	}
	x := &Export{
		Format: exportFormat, ID: rec.ID, Run: rec.RunNumber, Workflow: rec.Workflow, Function: rec.Function, State: rec.State,
		Parent: rec.Parent, Tags: rec.Tags, Edition: rec.Edition, Digest: rec.Digest, Input: rec.Input,
		Rows: []json.RawMessage{}, Sources: prog.Sources,
	}
	for n, row := range rows {
		if !json.Valid(row) {
			return nil, fmt.Errorf("journal of execution %s: row %d is damaged", id, n)
		}
		x.Rows = append(x.Rows, row)
	}
	return x, nil
}

// WriteTo writes the document, one line for each row of the journal.
func (x *Export) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	field := func(name string, v any) error {
		if b.Len() == 0 {
			b.WriteString("{\n")
		} else {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %q: ", name)
		if rows, ok := v.([]json.RawMessage); ok {
			b.WriteByte('[')
			for i, row := range rows {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString("\n    ")
				if err := json.Compact(&b, row); err != nil {
					return err
				}
			}
			b.WriteString("\n  ]")
			return nil
		}
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		b.Truncate(b.Len() - 1)
		return err
	}
	for _, f := range []struct {
		name string
		v    any
		left bool // out
	}{
		{"format", x.Format, false}, {"id", x.ID, false}, {"run", x.Run, false}, {"workflow", x.Workflow, false},
		{"function", x.Function, false}, {"state", x.State, false}, {"parent", x.Parent, x.Parent == ""},
		{"tags", x.Tags, len(x.Tags) == 0}, {"edition", x.Edition, false}, {"digest", x.Digest, false},
		{"input", x.Input, len(x.Input) == 0}, {"rows", x.Rows, false}, {"sources", x.Sources, false},
	} {
		if f.left {
			continue
		}
		if err := field(f.name, f.v); err != nil {
			return 0, fmt.Errorf("export of execution %s: %s: %w", x.ID, f.name, err)
		}
	}
	b.WriteString("\n}\n")
	return b.WriteTo(w)
}

// ParseExport reads what WriteTo wrote.
func ParseExport(text []byte) (*Export, error) {
	x := new(Export)
	if err := json.Unmarshal(text, x); err != nil {
		return nil, fmt.Errorf("an export of an execution is JSON: %w", err)
	}
	if x.Format < 1 || x.Format > exportFormat {
		return nil, fmt.Errorf("the export has format %d, this release reads up to %d", x.Format, exportFormat)
	}
	for i, row := range x.Rows {
		var b bytes.Buffer
		if err := json.Compact(&b, row); err != nil {
			return nil, err
		}
		x.Rows[i] = b.Bytes()
	}
	return x, nil
}

// Replay runs the journal on the code that fsys holds now in the entry file of the program; on
// the code of the export itself when fsys is nil. It has no effects.
func (x *Export) Replay(ctx context.Context, fsys fs.FS) (Verdict, error) {
	src, err := starlark.ParseSources(x.Sources)
	if err != nil {
		return Verdict{}, fmt.Errorf("sources of the export of %s: %w", x.ID, err)
	}
	if fsys != nil {
		src, err = starlark.Gather(src.Entry, func(name string) (string, error) {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			return readSource(fsys, name)
		})
		if err != nil {
			return Verdict{}, err
		}
	}
	prog, err := starlark.Compile(src)
	if err != nil {
		return Verdict{}, err
	}
	o, err := Options{}.withDefaults()
	if err != nil {
		return Verdict{}, err
	}
	rec := backend.Execution{
		ID: x.ID, RunNumber: x.Run, Workflow: x.Workflow, Function: x.Function, State: x.State,
		Parent: x.Parent, Tags: x.Tags, Edition: x.Edition, Digest: x.Digest, Input: x.Input,
	}
	if err := replays(&rec); err != nil {
		return Verdict{}, err
	}
	rows := make([][]byte, len(x.Rows))
	for i, row := range x.Rows {
		rows[i] = row
	}
	return proof(rec, rows, prog, o, nil), nil
}
