// The command bench.

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/redis"
	"github.com/senpuki/senpuki/cmd/senpuki/bench"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	workload, compare, profile string
	child, childArg            string // of a process that a measurement has begun
}

func (a *app) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a database",
		Long: `Measure what the engine does on a database: how long steps take, how many there
are in a second, and what share that is of what the raw driver writes.

  sequential  one execution, 1,000 steps                  ms/step
  throughput  1,000 executions of 5 steps, at once        steps/s
  fanout      one execution, 10,000 activities at once    activities/s
  latency     start to result of one step, idle           ms, median
  sleepers    executions that wait for a signal           bytes/execution
  recovery    10,000 steps resumed in a fresh process     ms until live
  remote      10,000 steps that another process runs      steps/s
  backlog     a claim with 100,000 pending, and with 100  times as long
  workers     steps of 5 ms by 1, 2 and 4 processes       speed-up of four, as a share of four
  wakeup      dispatched to an idle process               ms until it begins, for each way to wake it
  aged        throughput beside 1,000,000 that ended      times as much as without them
  limit       journal rows, by the raw driver alone       rows/s

Without --db a new database in the working directory is measured and removed
afterwards; SENPUKI_DB is left alone. A database that is named keeps what was run in it.

--compare FILE fails when a result is worse than recorded ones allow: a JSON array
of {"workload", "backend", "share_of_limit" or "value", "band"}; a band of 0.4
allows 40 % worse. Where there is a limit its share is compared, not the time.

--profile DIR writes what this process does in each workload, for go tool pprof: its
processor time, what it allocates, and waits for mutexes. It makes the figures worse.`,
		Example: `  senpuki bench
  senpuki bench --workload throughput --json
  senpuki bench --db 'bench.db?synchronous=normal'
  senpuki bench --workload fanout --profile profiles`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := bench.Check(f.workload); err != nil {
				return usage("%w", err)
			}
			if c.Flags().Changed("profile") {
				if err := os.MkdirAll(f.profile, 0o755); err != nil {
					return usage("--profile: %w", err)
				}
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			err := a.bench(ctx, f)
			if c.Context().Err() == nil && ctx.Err() != nil {
				return &exitError{exitInterrupted, errors.New("interrupted")}
			}
			if _, wrong := errors.AsType[*bench.WorkloadError](err); wrong {
				return usage("%w", err)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.workload, "workload", "all", strings.Join(bench.Workloads(), ", "))
	flags.StringVar(&f.compare, "compare", "", "fail when a result is worse than this file of recorded ones allows")
	flags.StringVar(&f.profile, "profile", "", "directory for profiles of each workload")
	flags.StringVar(&f.child, "child", "", "side of a measurement that needs processes of its own")
	flags.StringVar(&f.childArg, "child-arg", "", "what the child is told")
	for _, hidden := range []string{"child", "child-arg"} {
		_ = flags.MarkHidden(hidden) // the flag exists
	}
	_ = cmd.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions(bench.Workloads(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// bench measures the database named by --db, or one that exists only meanwhile.
func (a *app) bench(ctx context.Context, f benchFlags) (err error) {
	var records []bench.Record
	if f.compare != "" {
		if records, err = bench.ReadRecords(f.compare); err != nil {
			return usage("--compare: %w", err)
		}
	}
	measured := *a
	if measured.db == "" {
		var dir string
		if dir, err = os.MkdirTemp(".", ".senpuki-bench-*"); err != nil {
			// The working directory cannot be written to.
			dir, err = os.MkdirTemp("", "senpuki-bench-*")
		}
		if err != nil {
			return fmt.Errorf("make a place for the measured database: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		measured.db = filepath.Join(dir, "bench.db")
	}
	config, err := measured.benchConfig()
	if err != nil {
		return err
	}
	config.Profile = f.profile
	if f.child != "" {
		return bench.Child(ctx, f.child, f.childArg, config, a.out)
	}
	if records == nil {
		return bench.Run(ctx, f.workload, config)
	}
	var results []bench.Result
	report := config.Report
	config.Report = func(r bench.Result) error {
		results = append(results, r)
		return report(r)
	}
	if err := bench.Run(ctx, f.workload, config); err != nil {
		return err
	}
	return bench.Compare(records, results)
}

func (a *app) benchConfig() (bench.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Config{}, fmt.Errorf("find this program: %w", err)
	}
	c := bench.Config{
		Backend: "sqlite",
		Open:    func(ctx context.Context) (backend.Store, error) { return a.openStore(ctx, false) },
		Child: func(ctx context.Context, args ...string) *exec.Cmd {
			return exec.CommandContext(ctx, self, "bench", "--db", a.db, "--child", args[0], "--child-arg", args[1])
		},
		Report: func(r bench.Result) error {
			if a.json {
				return json.NewEncoder(a.out).Encode(r)
			}
			return bench.Text(a.out, r)
		},
	}
	rest := a.db
	if m := scheme.FindStringSubmatch(a.db); m != nil {
		c.Backend, rest = strings.ToLower(m[1]), a.db[len(m[0]):]
	}
	switch c.Backend {
	case "sqlite":
		path, query, _ := strings.Cut(rest, "?")
		synchronous := "FULL"
		if values, err := url.ParseQuery(query); err == nil && strings.EqualFold(values.Get("synchronous"), "normal") {
			synchronous = "NORMAL"
		}
		c.Lasts = true
		c.Raw = func(ctx context.Context, batch int) (bench.Raw, error) {
			return bench.RawSQLite(ctx, filepath.Dir(path), synchronous, batch)
		}
		c.Beside = func() (bench.Beside, error) {
			dir, err := os.MkdirTemp(filepath.Dir(path), ".senpuki-beside-*")
			empty := *a
			empty.db = strings.TrimSuffix(a.db, rest) + filepath.Join(dir, "bench.db") + strings.TrimPrefix(rest, path)
			return bench.Beside{
				Open: func(ctx context.Context) (backend.Store, error) { return empty.openStore(ctx, false) },
				Drop: func(context.Context) error { return os.RemoveAll(dir) },
			}, err
		}
	case "postgres", "postgresql":
		c.Backend, c.Lasts = "postgres", true
		c.Raw = func(ctx context.Context, _ int) (bench.Raw, error) { return bench.RawPostgres(ctx, a.db) }
		c.Counters = func(ctx context.Context) (bench.Counters, error) { return bench.PostgresCounters(ctx, a.db) }
		c.Beside = func() (bench.Beside, error) {
			u, err := url.Parse(a.db)
			if err != nil {
				return bench.Beside{}, err
			}
			schema := fmt.Sprintf("senpuki_beside_%d", os.Getpid())
			values := u.Query()
			values.Set("schema", schema)
			u.RawQuery = values.Encode()
			empty := *a
			empty.db = u.String()
			return bench.Beside{
				Open: func(ctx context.Context) (backend.Store, error) { return empty.openStore(ctx, false) },
				Drop: func(ctx context.Context) error { return bench.DropPostgres(ctx, a.db, schema) },
			}, nil
		}
	}
	if a.redisURL() != "" {
		c.Notifier = func() (backend.Notifier, error) { return redis.Open(a.redisURL(), a.databaseName()) }
	}
	return c, nil
}
