package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestListFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given []string
		want  []string // nil: refused
	}{
		{[]string{"a,b", "c"}, []string{"a", "b", "c"}},
		{[]string{`"a""b"`, `"c,d",e`}, []string{`a"b`, "c,d", "e"}},
		{[]string{`a"b`}, nil},
		{[]string{"a", "b\nc"}, nil},
	} {
		var got []string
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		listVar(flags, &got, "queue", "")
		var err error
		for _, text := range c.given {
			if err == nil {
				err = flags.Set("queue", text)
			}
		}
		if (err != nil) != (c.want == nil) || err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%q: %q %v, want %q", c.given, got, err, c.want)
		}
	}
}

// The default of a list that is empty is not worth a word.
func TestUsageOfListFlags(t *testing.T) {
	t.Parallel()
	var got []string
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	listVar(flags, &got, "queue", "queue to serve")
	if usage := strings.TrimSpace(flags.FlagUsages()); usage != "--queue strings   queue to serve" {
		t.Errorf("the usage is %q", usage)
	}
}

func TestListsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`a"b`:  `senpuki: --queue: a"b has a quote that is not closed or not at the ends; if it is all one name, write '"a""b"'`,
		"a\nb": `senpuki: --queue: "a\nb" has a line break; several are separated by commas or given one by one`,
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), nil, []string{"worker", "--db", "memory:", "--queue", text}, nil, &out, &errs)
		if first, _, _ := bytes.Cut(errs.Bytes(), []byte("\n")); code != exitUsage || string(first) != want {
			t.Errorf("%q: status %d, %s", text, code, &errs)
		}
	}
}
