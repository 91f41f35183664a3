// Recorded results, and whether new ones are still like them.

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Record is what a workload came to once, and how much worse it may be today. Ratios to
// the limit are compared where there are some: the times themselves move with the machine.
type Record struct {
	Workload     string   `json:"workload"`
	Backend      string   `json:"backend"`
	ShareOfLimit *float64 `json:"share_of_limit,omitempty"`
	Value        *float64 `json:"value,omitempty"` // for workloads without a limit; the lower the better
	Unit         string   `json:"unit,omitempty"`
	Band         float64  `json:"band"` // 0.4: up to 40 % worse
}

// ReadRecords reads a file of records, a JSON array.
func ReadRecords(path string) ([]Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []Record
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, r := range all {
		if r.Workload == "" || r.Backend == "" || (r.ShareOfLimit == nil) == (r.Value == nil) || r.Band <= 0 {
			return nil, fmt.Errorf("%s: %s on %s: a record has a workload, a backend, a band, and either a share_of_limit or a value", path, r.Workload, r.Backend)
		}
	}
	return all, nil
}

// Compare says which results are worse than their records allow. A result
// without a record is not compared; nothing compared at all is an error, too.
func Compare(records []Record, results []Result) error {
	var worse []error
	compared := 0
	for _, r := range results {
		i := slices.IndexFunc(records, func(k Record) bool { return k.Workload == r.Workload && k.Backend == r.Backend })
		if i < 0 {
			continue
		}
		k := &records[i]
		switch {
		case k.Value != nil:
			compared++
			if most := *k.Value * (1 + k.Band); r.Value > most {
				worse = append(worse, fmt.Errorf("%s: %s %s, recorded are %s and at most %s are allowed", r.Workload, number(r.Value), r.Unit, number(*k.Value), number(most)))
			}
		case r.ShareOfLimit != nil:
			compared++
			if least := *k.ShareOfLimit * (1 - k.Band); *r.ShareOfLimit < least {
				worse = append(worse, fmt.Errorf("%s: %.0f %% of limit, recorded are %.0f %% and at least %.0f %% are allowed",
					r.Workload, 100**r.ShareOfLimit, 100**k.ShareOfLimit, 100*least))
			}
		}
	}
	if compared == 0 {
		return errors.New("no result has a record to compare it with")
	}
	return errors.Join(worse...)
}
