// A photo or a model that gives no answer here, and why in one sentence.
export class Refused extends Error {}
