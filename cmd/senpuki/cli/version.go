// senpuki version: what this binary is.

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/starlark"
)

// release is the version; builds of a release set it with -ldflags -X.
var release = "0.1.0-dev"

// versionInfo is what version --json prints.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"`
	Edition  int    `json:"edition"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionInfo {
	v := versionInfo{
		Version: release, Commit: "unknown", Edition: starlark.Edition,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, commit, language edition and Go version",
		Example: `  senpuki version
  senpuki version --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	v := buildVersion()
	if a.json {
		return a.printDocument(v)
	}
	commit := fmt.Sprintf("%.12s", v.Commit)
	if v.Modified {
		commit += " (modified)"
	}
	_, err := fmt.Fprintf(a.out, "senpuki %s\ncommit  %s\nedition %d\ngo      %s %s\n", v.Version, commit, v.Edition, v.Go, v.Platform)
	return err
}
