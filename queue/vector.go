package queue

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
)

// Vector is a feature vector. As JSON it is the base64 form of its little-endian float32 values,
// half as long as decimal numbers, and exact.
type Vector []float32

// MarshalJSON implements json.Marshaler.
func (v Vector) MarshalJSON() ([]byte, error) {
	data := make([]byte, 0, 4*len(v))
	for _, value := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(data))
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Vector) UnmarshalJSON(text []byte) error {
	var data []byte
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	if len(data)%4 != 0 {
		return errors.New("a vector whose length is no multiple of 4 bytes")
	}
	*v = make(Vector, len(data)/4)
	for i := range *v {
		(*v)[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return nil
}
