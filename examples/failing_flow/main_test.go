// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "failing_flow", main) }

func TestFailingFlow(t *testing.T) { exampletest.Run(t, "failing_flow") }
