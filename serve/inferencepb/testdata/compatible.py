"""Compares garb's messages and services with those of the modules that other servers' clients use.

    compatible.py DESCRIPTORS MODULE...

DESCRIPTORS is a file of a serialized FileDescriptorSet. Each message, field, enum value and method
in it, except in files of google.protobuf, must be the same in the pool that the modules fill.
"""

import importlib
import sys

from google.protobuf import descriptor_pb2, descriptor_pool

for module in sys.argv[2:]:
    importlib.import_module(module)
pool = descriptor_pool.Default()
with open(sys.argv[1], "rb") as f:
    files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
Field = descriptor_pb2.FieldDescriptorProto
wrong, compared = [], 0


def proto(descriptor, kind):
    p = kind()
    descriptor.CopyToProto(p)
    return p


def oneof(message, field):
    """The name of the oneof of a field, "" if it is in none. One that stands for "optional" is none."""
    if not field.HasField("oneof_index") or field.proto3_optional:
        return ""
    return message.oneof_decl[field.oneof_index].name


def compare_enum(enum, theirs, place):
    global compared
    numbers = {v.name: v.number for v in theirs.values}
    for v in enum.value:
        compared += 1
        if numbers.get(v.name) != v.number:
            wrong.append(f"{place}: {v.name} is {v.number}, theirs {numbers.get(v.name)}")


def compare_message(message, prefix):
    global compared
    name = prefix + message.name
    try:
        descriptor = pool.FindMessageTypeByName(name)
    except KeyError:
        wrong.append(f"there is no message {name}")
        return
    theirs = proto(descriptor, descriptor_pb2.DescriptorProto)
    if message.options.map_entry != theirs.options.map_entry:
        wrong.append(f"{name} is the entry of a map in one only")
    fields = {f.number: f for f in theirs.field}
    for f in message.field:
        compared += 1
        their = fields.get(f.number)
        ours = (f.name, f.type, f.label, oneof(message, f))
        if their is None or ours != (their.name, their.type, their.label, oneof(theirs, their)):
            wrong.append(f"{name}: field {f.number} is {f}, theirs {their}")
        elif f.type == Field.TYPE_MESSAGE and f.type_name != their.type_name:
            wrong.append(f"{name}.{f.name} is a {f.type_name}, theirs a {their.type_name}")
        elif f.type == Field.TYPE_ENUM:
            enum = enums[f.type_name]
            compare_enum(enum, descriptor.fields_by_number[f.number].enum_type, f"{name}.{f.name}")
    for inner in message.nested_type:
        compare_message(inner, name + ".")


def compare_service(service, prefix):
    global compared
    name = prefix + service.name
    try:
        theirs = proto(pool.FindServiceByName(name), descriptor_pb2.ServiceDescriptorProto)
    except KeyError:
        wrong.append(f"there is no service {name}")
        return
    methods = {m.name: m for m in theirs.method}
    for m in service.method:
        compared += 1
        their = methods.get(m.name)
        if their is None or any(
            getattr(m, part) != getattr(their, part)
            for part in ("input_type", "output_type", "client_streaming", "server_streaming")
        ):
            wrong.append(f"{name}: method {m}, theirs {their}")


enums = {}


def collect_enums(message, prefix):
    for e in message.enum_type:
        enums[prefix + message.name + "." + e.name] = e
    for inner in message.nested_type:
        collect_enums(inner, prefix + message.name + ".")


for file in files.file:
    prefix = f".{file.package}."
    for e in file.enum_type:
        enums[prefix + e.name] = e
    for message in file.message_type:
        collect_enums(message, prefix)
for file in files.file:
    if file.package == "google.protobuf":
        continue
    for message in file.message_type:
        compare_message(message, file.package + ".")
    for service in file.service:
        compare_service(service, file.package + ".")
for line in wrong:
    print(line)
print(compared, "compared")
sys.exit(len(wrong) > 0 or compared == 0)
