/**
 * Spells out map fields, for reflection.
 *
 * A descriptor has no maps: `map<K, V> statuses` is short for a list of the nested message
 * `StatusesEntry`. protobufjs calls that message `Statuses`, and clients then reject the file
 * (fullstorydev/grpcurl#519).
 *
 * @module
 */
import protobuf from "protobufjs";

/** Replaces all map fields in a namespace by lists of their entries. Returns the namespace. */
export function spellOutMaps<Space extends protobuf.NamespaceBase>(space: Space): Space {
  for (const nested of space.nestedArray) {
    if (nested instanceof protobuf.Namespace) spellOutMaps(nested);
  }
  if (!(space instanceof protobuf.Type)) return space;
  for (const field of space.fieldsArray) {
    if (!(field instanceof protobuf.MapField)) continue;
    const entry = new protobuf.Type(entryName(field.name))
      .add(new protobuf.Field("key", 1, field.keyType))
      .add(new protobuf.Field("value", 2, field.type))
      .setOption("map_entry", true);
    space.remove(field).add(entry)
      .add(new protobuf.Field(field.name, field.id, entry.name, "repeated"));
  }
  return space;
}

/** The name that protoc gives to an entry of a map field. */
function entryName(field: string): string {
  const words = field.split("_").map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join("")}Entry`;
}
