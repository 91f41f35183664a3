// Flags of many values: given one by one, or with commas.

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// listVar is a flag of many values. One with a comma or a quote in it stands in quotes, as in CSV.
func listVar(flags *pflag.FlagSet, to *[]string, name, usage string) {
	flags.StringSliceVar(to, name, nil, usage)
	f := flags.Lookup(name)
	f.Value = listFlag{f.Value, f.Value.(pflag.SliceValue)}
	f.DefValue = "" // of a type that it does not know pflag would say that the default is []
}

// listFlag is a list of pflag's with errors of its own: those speak of lines and fields of CSV, and what stands behind a line
// break is dropped without any.
type listFlag struct {
	pflag.Value
	pflag.SliceValue
}

func (l listFlag) Set(text string) error {
	if strings.ContainsAny(text, "\r\n") || l.Value.Set(text) != nil {
		return &listError{text}
	}
	return nil
}

// listError is a text that is no list.
type listError struct{ text string }

func (e *listError) Error() string {
	if strings.ContainsAny(e.text, "\r\n") {
		return fmt.Sprintf("%q has a line break; several are separated by commas or given one by one", e.text)
	}
	quoted := `"` + strings.ReplaceAll(e.text, `"`, `""`) + `"`
	return fmt.Sprintf("%s has a quote that is not closed or not at the ends; if it is all one name, write %s", e.text, quote(quoted))
}
