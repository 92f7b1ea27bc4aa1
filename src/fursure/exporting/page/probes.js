// Small pictures that show how a browser reads others: `level` is what fursure sees at `at`, of RGB one after the other.
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// One pixel of the colour 1 at an opacity of 1 in 255, on white. A canvas mixes the two; where a browser rounds that up, as
// Firefox does, all that shines through is a third of a level too light, which moved a probability by 0.02.
export const GLASS = {
  data: bytes("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgBAIAAA8ABRdPuQQAAAAASUVORK5CYII="),
  at: 0, level: 254, near: 0,
};

// Four squares of 4 × 4 in three colours, its colours at half the size. Between two of them a decoder passes from one to the other, and
// Firefox leaps (220): that moved a probability by 0.04 and 2 answers of 100.
export const LEAP = {
  data: bytes(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAA" +
      "AQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAALwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAA" +
      "FGlzcGUAAAAAAAAACAAAAAgAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAA" +
      "N21kYXQSAAoIGAi/bICGg0IyIRxHh4XdwAAsAdAg7CS1jCfLd4rANkru+5engpYolqohMA==",
  ),
  at: 105, level: 137, near: 2,
};
