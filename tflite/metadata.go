package tflite

import (
	"archive/zip"
	"hash/crc32"
	"io"
	"strings"
	"time"

	flatbuffers "github.com/google/flatbuffers/go"
)

// TensorFlow Lite's metadata, which Android's and MediaPipe's libraries read (tflite-support,
// metadata_schema.fbs), is a flatbuffer in a buffer of the model, and the files that it names are
// in a zip archive behind the model.
const (
	metadataEntry      = "TFLITE_METADATA"
	metadataIdentifier = "M001"
	minParserVersion   = "1.0.0"
	labelsFile         = "labels.txt"

	contentFeature         = 1 // of the union ContentProperties
	contentImage           = 2
	colorSpaceRGB          = 1
	colorSpaceGrey         = 2
	processNormalization   = 1 // of the union ProcessUnitOptions
	associatedAxisLabels   = 2 // of AssociatedFileType
	descriptionInput       = "Prepared pictures."
	descriptionPicture     = "Pictures in red, green and blue, decoded and resized."
	descriptionProbability = "Probabilities of the classes."
	descriptionLogits      = "Logits of the classes: the values before the softmax."
	descriptionAcceptance  = "How likely the picture shows any of the classes."
)

// encodeMetadata describes the model's inputs and outputs.
func (w *writer) encodeMetadata(o Options) []byte {
	b := builder{flatbuffers.NewBuilder(1 << 10)}
	outputs := make([]flatbuffers.UOffsetT, len(w.outputs))
	for i, out := range w.outputs {
		f := slots{0: b.CreateString(w.tensors[out.tensor].name)} // name
		switch out.role {
		case acceptanceName:
			f[1] = b.CreateString(descriptionAcceptance)
		case logitsName:
			f[1] = b.CreateString(descriptionLogits)
		default:
			f[1] = b.CreateString(descriptionProbability)
		}
		f[3] = b.addContent(contentFeature, b.addTable(nil, nil))
		if o.Labels != nil && out.role != acceptanceName {
			names := slots{0: b.CreateString(labelsFile), 1: b.CreateString("Names of the classes.")}
			f[6] = b.addOffsets(b.addTable(names, func() { // associated_files
				b.PrependInt8Slot(2, associatedAxisLabels, 0)
			}))
		}
		outputs[i] = b.addTable(f, nil)
	}
	input := b.addInputMetadata(w.tensors[inputTensor], o)
	subgraph := b.addTable(slots{2: b.addOffsets(input), 3: b.addOffsets(outputs...)}, nil)
	b.FinishWithFileIdentifier(b.addTable(slots{
		0: b.CreateString(o.Name), 1: b.CreateString(o.Doc), 3: b.addOffsets(subgraph),
		7: b.CreateString(minParserVersion),
	}, nil), []byte(metadataIdentifier))
	return b.FinishedBytes()
}

func (b builder) addInputMetadata(t variable, o Options) flatbuffers.UOffsetT {
	f := slots{0: b.CreateString(t.name)}
	if o.Pictures {
		f[1] = b.CreateString(descriptionPicture)
	} else {
		f[1] = b.CreateString(descriptionInput)
	}
	height, width, channels := t.shape[0], t.shape[1], t.shape[2]
	space := int8(colorSpaceRGB)
	if channels == 1 {
		space = colorSpaceGrey
	} else if channels != 3 {
		f[3] = b.addContent(contentFeature, b.addTable(nil, nil))
		return b.addTable(f, nil)
	}
	size := b.addTable(nil, func() {
		b.PrependUint32Slot(0, uint32(width), 0)
		b.PrependUint32Slot(1, uint32(height), 0)
	})
	f[3] = b.addContent(contentImage, b.addTable(slots{1: size}, func() { b.PrependInt8Slot(0, space, 0) }))
	if p := o.Preprocessing; p != nil && !o.Pictures {
		normalization := b.addTable(slots{0: b.addFloats(p.Mean), 1: b.addFloats(p.Std)}, nil)
		f[4] = b.addOffsets(b.addTable(slots{1: normalization}, func() {
			b.PrependByteSlot(0, processNormalization, 0)
		}))
	}
	return b.addTable(f, nil)
}

// addContent adds the description of what a tensor holds.
func (b builder) addContent(kind byte, properties flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	return b.addTable(slots{1: properties}, func() { b.PrependByteSlot(0, kind, 0) })
}

// checkLabels returns an error if a name is empty or has line breaks: readers ignore empty lines.
func checkLabels(labels []string) error {
	for _, label := range labels {
		if strings.ContainsAny(label, "\r\n") || strings.TrimSpace(label) == "" {
			return &LabelError{label}
		}
	}
	return nil
}

// appendLabels appends the archive with the labels to a model of size bytes. Readers map the file
// of labels in place, so it is stored uncompressed, with its sizes in front.
func appendLabels(w io.Writer, size int64, labels []string) error {
	if labels == nil {
		return nil
	}
	text := []byte(strings.Join(labels, "\n") + "\n")
	firstDay := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // fixed, so that the same labels give the same bytes
	archive := zip.NewWriter(w)
	archive.SetOffset(size)
	to, err := archive.CreateRaw(&zip.FileHeader{
		Name: labelsFile, Method: zip.Store, Modified: firstDay, CRC32: crc32.ChecksumIEEE(text),
		CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text)),
	})
	if err != nil {
		return err
	}
	if _, err := to.Write(text); err != nil {
		return err
	}
	return archive.Close()
}
