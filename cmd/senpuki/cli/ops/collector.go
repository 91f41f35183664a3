// The collector: an engine's metrics in the terms of Prometheus.

package ops

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

const (
	// statsAge is how old the counts of the database may be: many scrapers cost one query.
	statsAge = 5 * time.Second
	// statsPatience is how long they may take.
	statsPatience = 3 * time.Second
)

// collector makes metrics when it is asked, from what the engine has counted.
type collector struct {
	source Source

	mu    sync.Mutex // guards all below
	stats backend.Stats
	err   error
	at    time.Time
}

func newCollector(s Source) *collector { return &collector{source: s} }

// Describe tells nothing in advance: queues and activities come and go.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	p := printer{out}
	p.gauge("build_info", "Constant 1; the version is a label.", 1, "version", c.source.Version)
	c.worker(p)
	if c.source.Metrics != nil {
		counts(p, c.source.Metrics)
	}
	if pooler, ok := c.source.Store.(backend.Pooler); ok {
		pool := pooler.Pool()
		p.gauge("pool_connections_max", "Connections to the database that there may be.", float64(pool.Max))
		p.gauge("pool_connections_in_use", "Connections to the database at work.", float64(pool.InUse))
		p.counter("pool_waits_total", "How often a connection had to be waited for.", float64(pool.Waits))
		p.counter("pool_wait_seconds_total", "How long connections were waited for.", pool.Waited.Seconds())
	}
	c.store(p)
}

// worker tells how the worker stands.
func (c *collector) worker(p printer) {
	h := c.source.Engine.Health()
	p.gauge("session_up", "1 while the worker has a session.", truth(h.Session != 0))
	p.gauge("stopping", "1 while the worker is being stopped.", truth(h.Stopping))
	p.gauge("heartbeat_age_seconds", "Time since the newest heartbeat that the database acknowledged.", h.Beat.Seconds())
	p.gauge("slots", "Attempts that may run here at once.", float64(h.Concurrency))
	p.gauge("slots_free", "Attempts that may still begin here.", float64(h.FreeSlots))
	p.gauge("activities_running", "Activities whose code runs here.", float64(h.Bodies))
	p.gauge("activities_stray", "Activities that run on although they were given up.", float64(h.Strays))
	p.gauge("executions_held", "Executions in memory here.", float64(h.Held))
	p.gauge("scripts_parked", "Scripts that wait in memory with nothing running here.", float64(h.Parked))
}

// counts tells what has been counted.
func counts(p printer, m *engine.Metrics) {
	p.counter("claims_total", "Executions that this worker has taken.", value(&m.Claimed))
	p.counter("task_claims_total", "Tasks that this worker has taken.", value(&m.ClaimedTasks))
	p.seconds("claim_seconds", "Time of a query for executions.", &m.Claims)
	p.counter("commits_total", "Transactions of the committer.", value(&m.Commits))
	p.counter("commit_faults_total", "Transactions that the database failed; they are tried again.", value(&m.CommitFaults))
	p.seconds("commit_seconds", "Time of a transaction of the committer.", &m.CommitTime)
	p.sizes("batch_size", "Turns, new executions and outcomes of tasks in one transaction.", &m.BatchSize)
	p.seconds("turn_seconds", "Time from the first entry of a turn until it is durable.", &m.TurnTime)
	p.seconds("replay_seconds", "Time of a replay of a journal.", &m.ReplayTime)
	p.counter("scripts_released_total", "Waiting scripts that were let go.", value(&m.Released))
	p.counter("stuck_turns_total", "Times that an execution could not be advanced.", value(&m.Stuck))
	p.counter("heartbeats_total", "Heartbeats of the session.", value(&m.Beats))
	p.counter("heartbeat_faults_total", "Heartbeats that failed.", value(&m.BeatFaults))
	p.counter("sessions_lost_total", "Sessions of this worker that were revoked.", value(&m.SessionsLost))
	for i, state := range engine.EndStates {
		p.counter("executions_ended_total", "Executions that ended here.", value(&m.Ended[i]), "state", string(state))
	}
	all := m.Activities()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		for o := range a.Outcomes {
			p.counter("attempts_total", "Attempts that ended here.", value(&a.Outcomes[o]), "activity", name, "outcome", engine.AttemptOutcome(o).String())
		}
		p.seconds("attempt_seconds", "Time of an attempt that ended here.", &a.Time, "activity", name)
	}
}

// store tells what the whole database holds.
func (c *collector) store(p printer) {
	stats, err := c.look()
	p.gauge("database_up", "1 when the database answered the newest look at it.", truth(err == nil))
	if err != nil {
		return
	}
	for _, state := range backend.States() {
		p.gauge("executions", "Executions in the database.", float64(stats.States[state]), "state", string(state))
	}
	p.gauge("executions_stuck", "Executions that cannot be advanced.", float64(stats.Stuck))
	p.gauge("dead_letters", "Steps whose attempts are used up.", float64(stats.Dead))
	for _, q := range stats.Queues {
		p.gauge("queue_executions", "Executions that are due and that no worker holds.", float64(q.Pending), "queue", q.Queue)
		p.gauge("queue_tasks", "Tasks that are due and that no worker runs.", float64(q.Tasks), "queue", q.Queue)
		age := 0.0
		if !q.OldestDue.IsZero() {
			age = max(0, time.Since(q.OldestDue).Seconds())
		}
		p.gauge("queue_oldest_seconds", "For how long the oldest of them has been due.", age, "queue", q.Queue)
	}
}

// look counts what the database holds, or says again what it has found lately.
func (c *collector) look() (backend.Stats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || time.Since(c.at) > statsAge {
		ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
		defer cancel()
		c.stats, c.err = c.source.Store.Stats(ctx, time.Now())
		c.at = time.Now()
	}
	return c.stats, c.err
}

func value(c *engine.Counter) float64 { return float64(c.Value()) }

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// printer sends metrics. Labels are pairs of name and value.
type printer struct{ out chan<- prometheus.Metric }

func describe(name, help string, labels []string) (desc *prometheus.Desc, values []string) {
	var names []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return prometheus.NewDesc("senpuki_"+name, help, names, nil), values
}

func (p printer) gauge(name, help string, v float64, labels ...string) {
	desc, values := describe(name, help, labels)
	p.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, values...)
}

func (p printer) counter(name, help string, v float64, labels ...string) {
	desc, values := describe(name, help, labels)
	p.out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v, values...)
}

// The buckets that are told: durations from 64 microseconds to 67 seconds, sizes up to 512.
const (
	firstSecond, lastSecond = 6, 26
	lastSize                = 9
)

func (p printer) seconds(name, help string, h *engine.Histogram, labels ...string) {
	p.histogram(name, help, h, firstSecond, lastSecond, 1e6, labels)
}

func (p printer) sizes(name, help string, h *engine.Histogram) {
	p.histogram(name, help, h, 0, lastSize, 1, nil)
}

func (p printer) histogram(name, help string, h *engine.Histogram, first, last int, unit float64, labels []string) {
	desc, values := describe(name, help, labels)
	count, sum, upTo := h.Read()
	buckets := make(map[float64]uint64, last-first+1)
	for i := first; i <= last; i++ {
		buckets[math.Ldexp(1, i)/unit] = upTo[i]
	}
	p.out <- prometheus.MustNewConstHistogram(desc, count, float64(sum)/unit, buckets, values...)
}
