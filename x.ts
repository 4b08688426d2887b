import { ConfigProvider, Effect, String as Str } from "effect"
const env = {
  RECORDS_PLANT_HOT_READING_KIND: "Mailbox",
  RECORDS_PLANT_HOT_READING_CAPACITY: "4",
  APP_RECORDS_X_KIND: "q",
  RECORDS: ""
}
const p = ConfigProvider.fromEnvRecord(env)
const probe = (label: string, prov: any, path: any) => {
  try {
    console.log(label, JSON.stringify(Effect.runSync(prov.load(path)), (k, v) => v instanceof Set ? [...v] : v))
  } catch (e) {
    console.log(label, String(e))
  }
}
probe("plain single", p, ["RECORDS_PLANT_HOT_READING_KIND"])
probe("plain path", p, ["records", "plant/HotReading", "kind"])
probe("const path", ConfigProvider.constantCase(p), ["records", "plant/HotReading", "kind"])
probe("const single", ConfigProvider.constantCase(p), ["RECORDS_PLANT_HOT_READING_KIND"])
probe("nested single", ConfigProvider.nested(p, "APP"), ["RECORDS_X_KIND"])
probe("nested const", ConfigProvider.constantCase(ConfigProvider.nested(p, "app")), ["RECORDS_X_KIND"])
probe("nested const2", ConfigProvider.nested(ConfigProvider.constantCase(p), "app"), ["RECORDS_X_KIND"])
probe("root", p, [])
probe("RECORDS", p, ["RECORDS"])
probe("RECORDS_PLANT", p, ["RECORDS", "PLANT"])
const o = ConfigProvider.fromUnknown({ records: { "plant/HotReading": { kind: "SpmcRing", capacity: 8 } } })
probe("obj", o, ["records", "plant/HotReading", "capacity"])
probe("obj", o, ["records"])
probe("const obj", ConfigProvider.constantCase(o), ["records"])
console.log(
  Str.constantCase("plant/HotReading"),
  Str.constantCase("plant/hot-reading"),
  Str.constantCase("plant/Reading2"),
  Str.constantCase("a.b/HTTPServer"),
  Str.constantCase("RECORDS_PLANT_READING2_KIND")
)
