// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "media_pipeline", main) }

func TestMediaPipeline(t *testing.T) { exampletest.Run(t, "media_pipeline") }
