// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "saga_trip_booking", main) }

func TestSagaTripBooking(t *testing.T) { exampletest.Run(t, "saga_trip_booking") }
