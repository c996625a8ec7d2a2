package tflite

import (
	"archive/zip"
	"hash/crc32"
	"io"
	"strings"
	"time"

	flatbuffers "github.com/google/flatbuffers/go"
)

// What Android's and MediaPipe's libraries read of a model is TensorFlow Lite's metadata
// (tflite-support, metadata_schema.fbs): a flatbuffer in a buffer of the model, and the files
// that it names in a zip archive behind the model.
const (
	metadataEntry      = "TFLITE_METADATA"
	metadataIdentifier = "M001"
	minParserVersion   = "1.0.0" // that knows what is written
	labelsFile         = "labels.txt"

	contentFeature         = 1 // of the union ContentProperties
	contentImage           = 2
	colorSpaceRGB          = 1
	colorSpaceGrey         = 2
	processNormalization   = 1 // of the union ProcessUnitOptions
	associatedAxisLabels   = 2 // of AssociatedFileType
	descriptionInput       = "Prepared pictures."
	descriptionPicture     = "Pictures in red, green and blue, as they are decoded and resized."
	descriptionProbability = "Probabilities of the classes."
	descriptionLogits      = "Logits of the classes: the values before the softmax."
	descriptionAcceptance  = "How likely the picture shows any of the classes."
)

// metadata describes the model's inputs and outputs.
func (w *writer) metadata(o Options) []byte {
	b := builder{flatbuffers.NewBuilder(1 << 10)}
	outputs := make([]flatbuffers.UOffsetT, len(w.outputs))
	for i, out := range w.outputs {
		f := slots{0: b.CreateString(out.name)} // name
		switch out.name {
		case acceptanceName:
			f[1] = b.CreateString(descriptionAcceptance)
		case logitsName:
			f[1] = b.CreateString(descriptionLogits)
		default:
			f[1] = b.CreateString(descriptionProbability)
		}
		f[3] = b.content(contentFeature, b.table(nil, nil))
		if o.Labels != nil && out.name != acceptanceName {
			f[6] = b.offsets(b.table(slots{0: b.CreateString(labelsFile), 1: b.CreateString("Names of the classes.")},
				func() { b.PrependInt8Slot(2, associatedAxisLabels, 0) })) // associated_files
		}
		outputs[i] = b.table(f, nil)
	}
	input := b.inputMetadata(w.tensors[inputTensor], o)
	subgraph := b.table(slots{2: b.offsets(input), 3: b.offsets(outputs...)}, nil)
	b.FinishWithFileIdentifier(b.table(slots{
		0: b.CreateString(o.Name), 1: b.CreateString(o.Doc), 3: b.offsets(subgraph),
		7: b.CreateString(minParserVersion),
	}, nil), []byte(metadataIdentifier))
	return b.FinishedBytes()
}

func (b builder) inputMetadata(t variable, o Options) flatbuffers.UOffsetT {
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
		f[3] = b.content(contentFeature, b.table(nil, nil))
		return b.table(f, nil)
	}
	size := b.table(nil, func() {
		b.PrependUint32Slot(0, uint32(width), 0)
		b.PrependUint32Slot(1, uint32(height), 0)
	})
	f[3] = b.content(contentImage, b.table(slots{1: size}, func() { b.PrependInt8Slot(0, space, 0) }))
	if p := o.Preprocessing; p != nil && !o.Pictures {
		normalization := b.table(slots{0: b.floats(p.Mean), 1: b.floats(p.Std)}, nil)
		f[4] = b.offsets(b.table(slots{1: normalization}, func() { b.PrependByteSlot(0, processNormalization, 0) }))
	}
	return b.table(f, nil)
}

// content is what a tensor holds.
func (b builder) content(kind byte, properties flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	return b.table(slots{1: properties}, func() { b.PrependByteSlot(0, kind, 0) })
}

// checkLabels refuses names that are not one line each: readers ignore empty lines.
func checkLabels(labels []string) error {
	for _, label := range labels {
		if strings.ContainsAny(label, "\r\n") || strings.TrimSpace(label) == "" {
			return &LabelError{label}
		}
	}
	return nil
}

// appendLabels appends the archive of the labels to a model of so many bytes. Readers map
// the file of labels in place: it is stored as it is, and its sizes stand before it.
func appendLabels(w io.Writer, size int64, labels []string) error {
	if labels == nil {
		return nil
	}
	text := []byte(strings.Join(labels, "\n") + "\n")
	firstDay := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // the same labels give the same bytes
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
