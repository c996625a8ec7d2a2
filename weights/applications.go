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

// applications.py wrote the table and the descriptions from Keras's source.
var (
	//go:embed applications.tsv
	applicationTable string
	//go:embed applications/*.json.gz
	applicationNetworks embed.FS
)

// applicationsKeras is the version of Keras that the networks were described with.
const applicationsKeras = "3.15.1"

// Application describes a network of keras.applications, which garb runs layer by layer as Keras
// describes it.
type Application struct {
	Keras      string `json:"keras"` // Keras's name: "MobileNetV2"
	Parameters int    `json:"-"`
	Side       int    `json:"-"` // of the input, in pixels
	// Preprocess names its preprocess_input as convert.Options does.
	Preprocess string `json:"-"`
}

// parseApplications returns a source for each row of the table.
func parseApplications() []Source {
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
			// float32 values, and room for the names of layers and arrays.
			MaxBytes: int64(4*a.Parameters) + int64(a.Parameters)/2 + 8<<20,
		})
	}
	return all
}

// Open reads a file of weights into the network of keras.applications that the source describes.
// origin says in errors where the file is from. Its errors wrap those of package keras.
func (s Source) Open(origin string, data []byte) (*keras.Model, error) {
	packed, err := applicationNetworks.ReadFile("applications/" + s.Name + ".json.gz")
	if err != nil {
		return nil, fmt.Errorf("%s is not a network of keras.applications: %w", s.Name, err)
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
