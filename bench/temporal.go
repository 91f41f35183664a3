// Temporal: its server on SQLite, its client and a worker, all in this process.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	tworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema/sqlite"
	server "go.temporal.io/server/temporal"
)

var temporalPeer = peer{
	name: "Temporal", version: "server 1.32.0, SDK 1.50.0", stores: []string{"sqlite full", "sqlite normal"},
	settings: "the server of its command line's `server start-dev` in this process, one shard, rate limits lifted, WAL, one connection (eight were slower); 32 pollers of each kind, sticky cache, eager activities; attempts time out after 5 s for W6",
	make:     func() engine { return &temporalEngine{} },
}

const temporalQueue, temporalSpace = "bench", "default"

type temporalEngine struct {
	server server.Server
	client client.Client
	worker tworker.Worker
}

func tStep(ctx context.Context, i int, payload string) (string, error) { return step(ctx, i, payload) }

func tOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Second, ScheduleToCloseTimeout: time.Hour,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond},
	})
}

func tSequence(ctx workflow.Context, n int, payload string) error {
	ctx = tOptions(ctx)
	for i := range n {
		if err := workflow.ExecuteActivity(ctx, tStep, i, payload).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func tFan(ctx workflow.Context, n int) error {
	ctx = tOptions(ctx)
	var all []workflow.Future
	for i := range n {
		all = append(all, workflow.ExecuteActivity(ctx, tStep, i, ""))
	}
	for _, f := range all {
		if err := f.Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func tHold(ctx workflow.Context) error {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	return nil
}

// free is a port that nobody uses.
func free() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// temporalConfig is what its documentation calls a development server, with a file.
func temporalConfig(at place, frontend int) *config.Config {
	c := &config.Config{}
	store := config.SQL{
		PluginName: sqliteplugin.PluginName, DatabaseName: filepath.Join(at.Dir, "temporal.db"),
		ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "wal", "synchronous": map[string]string{"FULL": "2", "NORMAL": "1"}[at.synchronous()]},
	}
	c.Persistence = config.Persistence{
		DefaultStore: "sqlite", VisibilityStore: "sqlite", NumHistoryShards: 1,
		DataStores: map[string]config.DataStore{"sqlite": {SQL: &store}},
	}
	c.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	c.Global.Metrics = &metrics.Config{Prometheus: &metrics.PrometheusConfig{ListenAddress: fmt.Sprintf("127.0.0.1:%d", free()), HandlerPath: "/metrics"}}
	c.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10, MasterClusterName: "active", CurrentClusterName: "active",
		ClusterInformation: map[string]cluster.ClusterInformation{"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: fmt.Sprintf("127.0.0.1:%d", frontend)}},
	}
	c.DCRedirectionPolicy.Policy = "noop"
	c.Archival = config.Archival{History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"}}
	c.NamespaceDefaults.Archival = config.ArchivalNamespaceDefaults{
		History: config.HistoryArchivalNamespaceDefaults{State: "disabled"}, Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}
	c.PublicClient.HostPort = fmt.Sprintf("127.0.0.1:%d", frontend)
	c.Services = make(map[string]config.Service)
	for _, name := range []string{"frontend", "history", "matching", "worker"} {
		port := frontend
		if name != "frontend" {
			port = free()
		}
		c.Services[name] = config.Service{RPC: config.RPC{GRPCPort: port, MembershipPort: free(), BindOnLocalHost: true}}
	}
	return c
}

// unlimited lifts rate limits that are meant for many tenants.
func unlimited() dynamicconfig.StaticClient {
	c := dynamicconfig.StaticClient{}
	for _, k := range []string{"frontend.rps", "frontend.namespaceRPS", "frontend.globalNamespaceRPS", "history.rps", "matching.rps", "history.persistenceMaxQPS", "matching.persistenceMaxQPS", "frontend.persistenceMaxQPS", "limit.historyCount.error", "limit.numPendingActivities.error"} {
		c[dynamicconfig.MakeKey(k)] = 1_000_000
	}
	return c
}

func (e *temporalEngine) open(ctx context.Context, at place, _ role) error {
	c := temporalConfig(at, free())
	store := c.Persistence.DataStores["sqlite"].SQL
	if _, err := os.Stat(store.DatabaseName); errors.Is(err, fs.ErrNotExist) {
		if err := sqlite.SetupSchema(store); err != nil {
			return err
		}
	}
	space, err := sqlite.NewNamespaceConfig("active", temporalSpace, false, nil)
	if err != nil {
		return err
	}
	if err := sqlite.CreateNamespaces(store, space); err != nil {
		return err
	}
	e.server, err = server.NewServer(server.WithConfig(c), server.ForServices(server.DefaultServices), server.WithLogger(log.NewNoopLogger()),
		server.WithAuthorizer(authorization.NewNoopAuthorizer()), server.WithDynamicConfigClient(unlimited()))
	if err != nil {
		return err
	}
	if err := e.server.Start(); err != nil {
		return err
	}
	for { // the namespace is known a moment later
		e.client, err = client.DialContext(ctx, client.Options{HostPort: c.PublicClient.HostPort, Namespace: temporalSpace, Logger: tlog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	e.worker = tworker.New(e.client, temporalQueue, tworker.Options{MaxConcurrentActivityTaskPollers: 32, MaxConcurrentWorkflowTaskPollers: 32})
	e.worker.RegisterWorkflow(tSequence)
	e.worker.RegisterWorkflow(tFan)
	e.worker.RegisterWorkflow(tHold)
	e.worker.RegisterActivity(tStep)
	return e.worker.Start()
}

func (e *temporalEngine) begin(ctx context.Context, id string, f any, args ...any) (await, error) {
	run, err := e.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: temporalQueue}, f, args...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		for {
			err := run.Get(ctx, nil)
			if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				return err
			}
		}
	}, nil
}

func (e *temporalEngine) sequence(ctx context.Context, id string, n int, payload string) (await, error) {
	return e.begin(ctx, id, tSequence, n, payload)
}

func (e *temporalEngine) fan(ctx context.Context, id string, n int) (await, error) {
	return e.begin(ctx, id, tFan, n)
}

func (e *temporalEngine) hold(ctx context.Context, id string) error {
	_, err := e.begin(ctx, id, tHold)
	return err
}

func (e *temporalEngine) close() {
	e.worker.Stop()
	e.client.Close()
	_ = e.server.Stop()
}
