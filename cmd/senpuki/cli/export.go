// senpuki history --export: an execution's journal as a file, to be replayed elsewhere.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// export writes an execution's journal and code to a file, "-" for standard output.
func (a *app) export(ctx context.Context, prefix, file string) error {
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		doc, err := eng.Export(ctx, x.ID)
		if err != nil {
			return err
		}
		if file == "-" {
			_, err := doc.WriteTo(a.out)
			return err
		}
		// It has what the steps were given: nobody else reads it unless its owner says so.
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return usage("--export: %s exists; remove it first or choose another name", file)
		}
		if err != nil {
			return usage("--export: %w", err)
		}
		_, err = doc.WriteTo(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		fmt.Fprintf(a.err, "%s: %s of its journal in %s\n", x.ID, count(len(doc.Rows), "row"), file)
		return nil
	})
}
