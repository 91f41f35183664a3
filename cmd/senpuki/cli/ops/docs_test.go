// The metrics that docs/operations.md names exist.

package ops

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

var (
	metricName = regexp.MustCompile(`senpuki_[a-z_]+`)
	toldMetric = regexp.MustCompile(`(?m)^# TYPE (senpuki_[a-z_]+) (\w+)$`)
)

func TestMetricsOfTheDocs(t *testing.T) {
	t.Parallel()
	store, metrics := &moody{Store: memory.New()}, &engine.Metrics{}
	reg := activities.NewRegistry()
	reg.MustRegister("look", func() error { return nil })
	eng, err := engine.New(store, reg, engine.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, eng, store, "due")
	_, body := get(t, Handler(Source{Engine: eng, Store: store, Metrics: metrics}), "/metrics")
	var told []string
	for _, m := range toldMetric.FindAllStringSubmatch(body, -1) {
		told = append(told, m[1])
		if m[2] == "histogram" {
			told = append(told, m[1]+"_bucket", m[1]+"_count")
		}
	}
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, name := range metricName.FindAllString(string(page), -1) {
		named[name] = true
		if name != "senpuki_" && !slices.Contains(told, name) {
			t.Errorf("docs/operations.md names %s, which nobody tells", name)
		}
	}
	for _, name := range told {
		short := strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
		if !named[name] && !named[short] && !named[short+"_bucket"] && !named[short+"_count"] && !strings.HasPrefix(name, "senpuki_pool_wait_seconds") {
			t.Errorf("docs/operations.md does not name %s", name)
		}
	}
}
