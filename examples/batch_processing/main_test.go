// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "batch_processing", main) }

func TestBatchProcessing(t *testing.T) { exampletest.Run(t, "batch_processing") }
