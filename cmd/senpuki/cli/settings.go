// Settings: a flag wins over its environment variable, that over senpuki.toml, that over the default.

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senpuki/senpuki/cmd/senpuki/cli/config"
	"github.com/senpuki/senpuki/cmd/senpuki/cli/ops"
	"github.com/senpuki/senpuki/engine"
)

// unconfigured are the commands that need no settings, and say what they say even when the file is broken.
var unconfigured = []string{"version", "help", "completion"}

// completes are the commands that a shell runs to complete a line: settings help, a broken file is no reason to say so there.
var completes = []string{cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}

// configure reads the configuration file and registers its activities.
func (a *app) configure(c *cobra.Command) error {
	if !c.HasParent() { // the command without a word after it
		return nil
	}
	for p := c; p.HasParent(); p = p.Parent() {
		if slices.Contains(unconfigured, p.Name()) {
			return nil
		}
	}
	err := a.readConfig()
	if slices.Contains(completes, c.Name()) {
		return nil
	}
	return err
}

func (a *app) readConfig() error {
	path := a.configPath
	if path == "" {
		path = a.env("SENPUKI_CONFIG")
	}
	if path == "" {
		found, err := config.Find(".")
		if err != nil {
			return err
		}
		if path = found; path != "" {
			if cwd, err := os.Getwd(); err == nil { // the name that people see is the shortest
				if rel, err := filepath.Rel(cwd, path); err == nil {
					path = rel
				}
			}
		}
	}
	if path == "" {
		return nil
	}
	f, err := config.Read(path)
	if err != nil {
		return usage("%w", err)
	}
	if err := f.Register(a.registry); err != nil {
		return usage("%w", err)
	}
	a.file = *f
	return nil
}

// redisURL is where wake-ups go, "" when nobody named a place.
func (a *app) redisURL() string {
	if a.redis != "" {
		return a.redis
	}
	return a.textOr(nil, "SENPUKI_REDIS", a.file.Redis)
}

// textOr is a setting: the flag's value when it was given, else the first that is not empty.
func (a *app) textOr(f *pflag.Flag, env, file string) string {
	if f != nil && f.Changed {
		return f.Value.String()
	}
	if v := a.env(env); v != "" {
		return v
	}
	if file != "" || f == nil {
		return file
	}
	return f.DefValue
}

// setting gives a text flag the value that is in force.
func (a *app) setting(flags *pflag.FlagSet, name, env, file string, to *string) {
	*to = a.textOr(flags.Lookup(name), env, file)
}

// listSetting gives a flag of many values those in force; the variable has them with commas.
func (a *app) listSetting(flags *pflag.FlagSet, name, env string, file []string, to *[]string) {
	if flags.Changed(name) {
		return
	}
	*to = file
	if v := a.env(env); v != "" {
		*to = strings.Split(v, ",")
	}
}

// countSetting gives a flag that is a number the value in force.
func (a *app) countSetting(flags *pflag.FlagSet, name, env string, file int, to *int) error {
	if flags.Changed(name) {
		return nil
	}
	*to = file
	if v := a.env(env); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return usage("%s: %q is not a number", env, v)
		}
		*to = n
	}
	return nil
}

const stepsFlag = "max-steps"

// addSteps adds the bound of a script's turns to a command that runs scripts.
func (a *app) addSteps(flags *pflag.FlagSet) {
	flags.IntVar(&a.maxSteps, stepsFlag, 0, "interpreter steps that a script may take between two waits, else it is stuck (default 100000000)")
}

// steps is that bound in force, 0 when nobody named one.
func (a *app) steps() (uint64, error) {
	n := a.maxSteps
	if n == 0 {
		n = a.file.MaxSteps
		if v := a.env("SENPUKI_MAX_STEPS"); v != "" {
			var err error
			if n, err = strconv.Atoi(v); err != nil {
				return 0, usage("SENPUKI_MAX_STEPS: %q is not a number", v)
			}
		}
	}
	if n < 0 {
		return 0, usage("--max-steps: %d is negative", n)
	}
	return uint64(n), nil
}

// logFlags are how logs are written.
type logFlags struct{ format, level string }

func (l *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&l.format, "log-format", "", "logs as text or json (default $SENPUKI_LOG_FORMAT, else text)")
	flags.StringVar(&l.level, "log-level", "", "log from this level on: debug, info, warn, error (default $SENPUKI_LOG_LEVEL, else info)")
}

// resolveLog gives the flags of logs the values in force.
func (a *app) resolveLog(flags *pflag.FlagSet, l *logFlags) {
	a.setting(flags, "log-format", "SENPUKI_LOG_FORMAT", a.file.Log.Format, &l.format)
	a.setting(flags, "log-level", "SENPUKI_LOG_LEVEL", a.file.Log.Level, &l.level)
}

// logger makes the logger that the flags ask for.
func (a *app) logger(l logFlags) (*slog.Logger, error) {
	log, err := ops.NewLogger(a.err, ops.LogOptions{Format: l.format, Level: l.level, Mask: maskText})
	if err != nil {
		return nil, usage("%w", err)
	}
	return log, nil
}

// sayFunc tells the one who started the command how it stands.
type sayFunc func(text string, attrs ...any)

// sayer says things in plain lines, or in records when all of the log is to be JSON.
func (a *app) sayer(log *slog.Logger, format string) sayFunc {
	if format == "json" {
		return func(text string, attrs ...any) { log.Info(text, attrs...) }
	}
	return func(text string, _ ...any) { fmt.Fprintln(a.err, legible(text)) }
}

// observing is the observer for a logger: nobody when nothing would come of it.
func observing(log *slog.Logger) engine.Observer {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return ops.EventLog{Log: log}
}

// sendPatience is how long the sending of the last traces may hold up the end of a command.
const sendPatience = 3 * time.Second

// tracer is the tracer that the environment asks for, nil for none, and what sends its last spans.
func (a *app) tracer(ctx context.Context, log *slog.Logger) (engine.Tracer, func(), error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t, err := ops.NewTracer(ctx, ops.TraceOptions{Env: a.env, Console: a.err, Version: release, Log: log})
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	if t == nil {
		return nil, func() {}, nil
	}
	return t, func() {
		ctx, cancel := context.WithTimeout(context.Background(), sendPatience)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not sent", "error", err)
		}
	}, nil
}

// logHere makes the log of an engine that runs here for one execution. It is
// silent unless a format or a level was asked for, since progress says the same to a person.
func (a *app) logHere(flags *pflag.FlagSet, l logFlags) (err error) {
	a.resolveLog(flags, &l)
	if l == (logFlags{}) {
		return nil
	}
	a.log, err = a.logger(l)
	return err
}

// retentionFlags say how long executions are kept.
type retentionFlags struct{ completed, failed string }

func (r *retentionFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&r.completed, "retention-completed", "", "keep completed executions this long, or forever (default 7d)")
	flags.StringVar(&r.failed, "retention-failed", "", "keep those that ended otherwise this long, or forever (default 30d)")
}

// retention is what is in force.
func (a *app) retention(flags *pflag.FlagSet, r retentionFlags) (engine.Retention, error) {
	a.setting(flags, "retention-completed", "SENPUKI_RETENTION_COMPLETED", a.file.Retention.Completed, &r.completed)
	a.setting(flags, "retention-failed", "SENPUKI_RETENTION_FAILED", a.file.Retention.Failed, &r.failed)
	completed, err := keepFor("--retention-completed", r.completed)
	if err != nil {
		return engine.Retention{}, err
	}
	failed, err := keepFor("--retention-failed", r.failed)
	return engine.Retention{Completed: completed, Failed: failed}, err
}

func keepFor(flag, text string) (time.Duration, error) {
	if text == config.Forever {
		return -1, nil
	}
	return parsePositive(flag, text)
}
