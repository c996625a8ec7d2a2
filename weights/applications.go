package weights

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"strconv"
	"strings"

	"garb/backbone"
	"garb/keras"
)

// applications.py made the table and the descriptions from Keras's source.
var (
	//go:embed applications.tsv
	applicationTable string
	//go:embed applications/*.json.gz
	applicationNetworks embed.FS
)

// applicationsKeras is the version of the Keras that described the networks.
const applicationsKeras = "3.15.1"

// Application describes a network of keras.applications, which garb has as Keras's layers.
type Application struct {
	Keras      string `json:"keras"` // its name there: "MobileNetV2"
	Parameters int    `json:"-"`
	Side       int    `json:"-"` // of its pictures, in pixels
	// Preprocess names what its preprocess_input does, for convert.Options.
	Preprocess string `json:"-"`
}

// applications returns the sources of the table.
func applications() []Source {
	rows := strings.Split(strings.TrimSpace(applicationTable), "\n")
	var all []Source
	for _, row := range rows[1:] {
		cells := strings.Split(row, "\t")
		if len(cells) != 9 {
			panic(fmt.Sprintf("weights: applications.tsv: %q", row)) // the binary is broken
		}
		a := &Application{Keras: cells[1], Preprocess: cells[4]}
		for cell, n := range map[int]*int{2: &a.Parameters, 3: &a.Side} {
			var err error
			if *n, err = strconv.Atoi(cells[cell]); err != nil {
				panic("weights: applications.tsv: " + err.Error())
			}
		}
		all = append(all, Source{
			Name: cells[0], Architecture: backbone.OwnName, Description: "ImageNet, without top",
			URL: cells[5], MD5: cells[6], Licence: cells[7], Origin: cells[8], Application: a,
			// Values are float32; the names of layers and arrays take a part of the rest.
			MaxBytes: int64(4*a.Parameters) + int64(a.Parameters)/2 + 8<<20,
		})
	}
	return all
}

// Open reads a file of weights into the network that the source describes; origin is
// where the file is from, for errors, which wrap those of package keras. The source is of
// an Application.
func (s Source) Open(origin string, data []byte) (*keras.Model, error) {
	packed, err := applicationNetworks.ReadFile("applications/" + s.Name + ".json.gz")
	if err != nil {
		return nil, fmt.Errorf("%s is no network of keras.applications: %w", s.Name, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	description, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	m, err := keras.OpenWeights(description, applicationsKeras, data, keras.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%s does not hold the weights of %s without its top: %w", origin, s.Application.Keras,
			err)
	}
	return m, nil
}
