/** Refuses a capacity that the schema of a config would refuse, in words that name the record. */
export const assertCapacity = (record: string, config: { readonly kind: string; readonly capacity?: number }): void => {
  if ("capacity" in config && !(Number.isInteger(config.capacity) && config.capacity! > 0)) {
    throw new RangeError(
      `record "${record}": the capacity of a ${config.kind} must be a positive integer, got ${config.capacity}`
    )
  }
}
