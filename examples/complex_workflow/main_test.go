// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "complex_workflow", main) }

func TestComplexWorkflow(t *testing.T) { exampletest.Run(t, "complex_workflow") }
