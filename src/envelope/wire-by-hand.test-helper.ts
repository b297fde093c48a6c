// Protobuf's wire format written by hand, so that tests don't check generated code against itself.

/** A field's tag. Wire types: 0 varint, 2 length-delimited. */
export function field(number: number, wireType: 0 | 2): Buffer {
  return Buffer.of((number << 3) | wireType);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

export function varintField(number: number, value: number): Buffer {
  return Buffer.concat([field(number, 0), varint(value)]);
}

export function lengthDelimited(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([field(number, 2), varint(bytes.length), bytes]);
}
