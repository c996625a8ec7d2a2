package grpc

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"garb/serve/request"
)

// codec decodes messages if they take not much more memory decoded than encoded.
type codec struct {
	bodies *request.Bodies
	strict bool // fields that a message does not have are errors
}

func (codec) Name() string { return "proto" }

func (codec) Marshal(m any) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }

func (c codec) Unmarshal(data []byte, m any) error {
	message := m.(proto.Message)
	const others = 1000 // names, shapes, parameters: far more than any client sends
	left := c.bodies.MaxPictures() + others
	if err := c.countFields(data, message.ProtoReflect().Descriptor(), &left); err != nil {
		return err
	}
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
}

// numbersPerField is the number of bytes of small numbers that count as a field: four million in all.
const numbersPerField = 4096

// varints are the kinds of numbers that are encoded in fewer bytes than they have decoded.
var varints = []protoreflect.Kind{
	protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind,
}

// countFields subtracts the number of fields of a message, and of the messages in it, from left, since
// a message of two bytes in another takes a hundred bytes when it is decoded.
func (c codec) countFields(data []byte, d protoreflect.MessageDescriptor, left *int) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		n = protowire.ConsumeFieldValue(number, kind, data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		field := d.Fields().ByNumber(number)
		if field == nil && c.strict {
			return fmt.Errorf("%s has no field %d here; what it asks for is not supported", d.FullName(), number)
		}
		if *left--; field != nil && kind == protowire.BytesType {
			inside, _ := protowire.ConsumeBytes(data)
			switch {
			case field.Message() != nil:
				if err := c.countFields(inside, field.Message(), left); err != nil {
					return err
				}
			case field.Name() == "shape": // up to one number a byte
				*left -= len(inside)
			case slices.Contains(varints, field.Kind()): // a tensor; decoded, a number has up to eight bytes
				*left -= len(inside) / numbersPerField
			}
		}
		if *left < 0 {
			return errors.New("the message has too many fields")
		}
		data = data[n:]
	}
	return nil
}
