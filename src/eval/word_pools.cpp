#include "eval/words.h"

#include <array>

namespace quern::pools {
namespace {

constexpr std::string_view first_names_list[] = {
    "Anna",   "Ben",    "Clara", "David",  "Elena",  "Felix",  "Greta", "Henry",  "Ines",   "Jonas",   "Karla", "Leo",
    "Maria",  "Nico",   "Olga",  "Paul",   "Rita",   "Sam",    "Tina",  "Victor", "Wanda",  "Yusuf",   "Zoe",   "Amir",
    "Bianca", "Carlos", "Dana",  "Erik",   "Fatima", "Georg",  "Hana",  "Ivan",   "Julia",  "Kenji",   "Lena",  "Marco",
    "Nadia",  "Oscar",  "Priya", "Quinn",  "Rosa",   "Stefan", "Tariq", "Uma",    "Vera",   "Will",    "Xenia", "Yara",
    "Zack",   "Alice",  "Bruno", "Chloe",  "Dmitri", "Emma",   "Frank", "Grace",  "Hugo",   "Irene",   "Jack",  "Kate",
    "Liam",   "Mona",   "Noah",  "Olivia", "Peter",  "Ruth",   "Simon", "Theo",   "Ursula", "Vincent",
};
constexpr std::string_view last_names_list[] = {
    "Berg",     "Keller",    "Novak",  "Silva",   "Tanaka",  "Okafor", "Jensen", "Moreau", "Rossi",  "Patel",
    "Kowalski", "Lindqvist", "Haddad", "Schmidt", "Murphy",  "Costa",  "Ivanov", "Dubois", "Larsen", "Weber",
    "Garcia",   "Nguyen",    "Brown",  "Clark",   "Fischer", "Hansen", "Ito",    "Jones",  "Khan",   "Lopez",
    "Meyer",    "Nilsson",   "Olsen",  "Perez",   "Quist",   "Ruiz",   "Sato",   "Turner", "Ueda",   "Vogel",
    "Walker",   "Young",     "Zhang",  "Adler",   "Baker",   "Cohen",  "Diaz",   "Evans",  "Ford",   "Gruber",
};
constexpr std::string_view cities_list[] = {
    "Berlin", "Paris", "Oslo", "Lisbon", "Madrid",  "Vienna",  "Prague",   "Dublin", "Rome",     "Athens",
    "Zurich", "Kyoto", "Lima", "Cairo",  "Boston",  "Denver",  "Toronto",  "Sydney", "Helsinki", "Warsaw",
    "Porto",  "Milan", "Lyon", "Ghent",  "Leeds",   "Turin",   "Basel",    "Bergen", "Krakow",   "Nice",
    "Osaka",  "Quito", "Riga", "Sofia",  "Tallinn", "Utrecht", "Valencia", "Zagreb", "Austin",   "Bogota",
};
constexpr std::string_view nouns_list[] = {
    "lamp",   "table",  "chair",   "river",  "garden", "window", "bottle",  "camera", "ticket", "ladder",  "market", "engine",
    "pencil", "hammer", "basket",  "mirror", "carpet", "candle", "bridge",  "button", "anchor", "blanket", "bucket", "cable",
    "clock",  "coin",   "compass", "crate",  "desk",   "drill",  "drum",    "fan",    "fence",  "filter",  "flag",   "glove",
    "handle", "helmet", "hinge",   "hook",   "jacket", "kettle", "key",     "knife",  "lens",   "lever",   "magnet", "mask",
    "motor",  "needle", "oven",    "paddle", "pipe",   "plate",  "pump",    "rack",   "radio",  "rope",    "ruler",  "saddle",
    "scale",  "screw",  "shelf",   "shovel", "spoon",  "spring", "stool",   "switch", "tank",   "tape",    "tent",   "tile",
    "torch",  "towel",  "tray",    "valve",  "vase",   "wheel",  "whistle", "wire",   "wrench", "zipper",
};
constexpr std::string_view adjectives_list[] = {
    "red",    "blue",  "green",  "small", "large",  "old",  "new",   "quick", "quiet",  "bright", "dark",
    "heavy",  "light", "round",  "flat",  "warm",   "cold", "empty", "full",  "broken", "clean",  "fresh",
    "golden", "grey",  "hollow", "loud",  "narrow", "open", "pale",  "plain", "rough",  "sharp",  "silent",
    "smooth", "soft",  "solid",  "steep", "strong", "thin", "wide",  "wild",  "young",
};
constexpr std::string_view extensions_list[] = {
    "txt", "md",  "pdf",  "jpg",  "png",  "csv",  "json", "xml", "html", "css",  "js",   "py",  "cpp",  "h",
    "log", "doc", "docx", "xls",  "xlsx", "ppt",  "zip",  "tar", "gz",   "mp3",  "wav",  "mp4", "mov",  "avi",
    "svg", "gif", "bmp",  "tiff", "yaml", "toml", "ini",  "cfg", "sh",   "bat",  "sql",  "db",  "tex",  "bib",
    "rtf", "odt", "ods",  "epub", "psd",  "ai",   "java", "rb",  "go",   "rs",   "ts",   "lua", "dat",  "bin",
    "bak", "tmp", "old",  "ics",  "vcf",  "eml",  "msg",  "key", "pem",  "webp", "flac", "ogg", "heic",
};
constexpr std::string_view file_stems_list[] = {
    "report",     "notes",     "invoice",   "budget",    "summary",  "letter",     "photo",     "draft",    "plan",
    "agenda",     "minutes",   "recipe",    "contract",  "receipt",  "backup",     "todo",      "readme",   "diary",
    "poem",       "essay",     "thesis",    "slides",    "chart",    "table",      "map",       "logo",     "banner",
    "song",       "track",     "clip",      "movie",     "trailer",  "script",     "config",    "settings", "index",
    "data",       "export",    "import",    "archive",   "list",     "inventory",  "schedule",  "calendar", "contacts",
    "address",    "payment",   "order",     "offer",     "quote",    "manual",     "guide",     "tutorial", "exercise",
    "homework",   "exam",      "grades",    "schema",    "model",    "test",       "sample",    "example",  "demo",
    "template",   "form",      "survey",    "feedback",  "review",   "proposal",   "memo",      "brief",    "note",
    "journal",    "log",       "history",   "changelog", "license",  "todo-list",  "shopping",  "holiday",  "trip",
    "travel",     "hotel",     "flight",    "ticket",    "passport", "scan",       "picture",   "image",    "screenshot",
    "icon",       "cover",     "portrait",  "landscape", "garden",   "kitchen",    "house",     "car",      "bike",
    "project",    "team",      "client",    "customer",  "product",  "price",      "stock",     "sales",    "tax",
    "salary",     "bank",      "loan",      "rent",      "lease",    "insurance",  "health",    "doctor",   "school",
    "course",     "lesson",    "book",      "chapter",   "page",     "story",      "article",   "blog",     "news",
    "letterhead", "signature", "stamp",     "design",    "sketch",   "drawing",    "blueprint", "layout",   "audio",
    "voice",      "podcast",   "interview", "meeting",   "call",     "conference",
};
constexpr std::string_view folder_names_list[] = {
    "archive", "documents", "pictures", "music",   "videos", "reports", "invoices", "notes",   "backup",    "old",      "misc",
    "drafts",  "final",     "projects", "clients", "photos", "texts",   "data",     "images",  "papers",    "letters",  "sorted",
    "inbox",   "outbox",    "done",     "pending", "review", "shared",  "private",  "work",    "home",      "school",   "finance",
    "taxes",   "travel",    "recipes",  "books",   "media",  "source",  "exports",  "scans",   "contracts", "receipts", "plans",
    "designs", "samples",   "tests",    "logs",    "temp",   "storage", "library",  "records",
};
constexpr std::string_view projects_list[] = {
    "Apollo",  "Birch",   "Cedar",  "Delta",  "Ember",   "Falcon",  "Glacier", "Harbor", "Indigo",  "Juniper",
    "Kestrel", "Lotus",   "Meadow", "Nimbus", "Orchid",  "Phoenix", "Quartz",  "Raven",  "Saffron", "Tundra",
    "Umbra",   "Vortex",  "Willow", "Zephyr", "Atlas",   "Beacon",  "Comet",   "Drift",  "Echo",    "Flint",
    "Granite", "Horizon", "Iris",   "Jade",   "Krypton", "Lagoon",  "Marble",  "Nova",   "Onyx",    "Prism",
    "Quill",   "Ridge",   "Summit", "Topaz",  "Unity",   "Violet",  "Wave",    "Yarrow", "Zenith",
};
constexpr std::string_view companies_list[] = {
    "Acme",    "Brightline", "Corvex",   "Dunlow",   "Eastgate",  "Fernhill",  "Gridworks", "Hollis",   "Inova",     "Jarvik",
    "Kelmont", "Lumina",     "Marlow",   "Northbay", "Oakridge",  "Pinecrest", "Quantel",   "Redwood",  "Silverton", "Tidewell",
    "Ultima",  "Vantor",     "Westport", "Xylo",     "Yellowfin", "Zentra",    "Alpenrose", "Bluepeak", "Cobalt",    "Delmar",
};
constexpr std::string_view fields_list[] = {
    "project",        "client",       "owner",     "status",      "priority", "category",   "department", "author", "subject",
    "city",           "country",      "phone",     "email",       "due date", "start date", "amount",     "total",  "price",
    "quantity",       "weight",       "color",     "size",        "room",     "floor",      "model",      "brand",  "serial number",
    "invoice number", "order number", "reference", "topic",       "language", "version",    "deadline",   "budget", "manager",
    "supplier",       "address",      "account",   "team",        "region",   "type",       "label",      "code",   "rating",
    "speaker",        "venue",        "capacity",  "temperature", "duration",
};
constexpr std::string_view verbs_create_list[] = {
    "create", "add", "new", "register", "make", "open", "insert", "book", "submit", "record",
};
constexpr std::string_view verbs_get_list[] = {
    "get", "fetch", "show", "read", "lookup", "find", "retrieve", "load", "view", "describe",
};
constexpr std::string_view verbs_list_list[] = {
    "list", "search", "query", "all", "browse", "enumerate", "scan", "index", "select", "collect",
};
constexpr std::string_view verbs_update_list[] = {
    "update", "set", "change", "edit", "modify", "assign", "adjust", "patch", "revise", "rename",
};
constexpr std::string_view verbs_delete_list[] = {
    "delete", "remove", "drop", "cancel", "erase", "close", "archive", "discard", "clear", "purge",
};
constexpr std::string_view verbs_send_list[] = {
    "send", "notify", "message", "email", "alert", "ping", "tell", "forward", "post", "dispatch",
};
constexpr std::string_view entities_list[] = {
    "ticket",          "order",      "customer", "contact",        "event",   "task",    "product",   "booking",
    "invoice",         "shipment",   "device",   "sensor",         "room",    "vehicle", "account",   "employee",
    "student",         "course",     "patient",  "appointment",    "article", "comment", "playlist",  "song",
    "recipe",          "ingredient", "plant",    "animal",         "book",    "loan",    "member",    "subscription",
    "payment",         "refund",     "coupon",   "warehouse item", "machine", "job",     "server",    "backup",
    "alarm",           "camera",     "light",    "door",           "meeting", "project", "milestone", "bug report",
    "feature request", "survey",     "lesson",   "flight",         "hotel",   "parcel",  "supplier",  "contract",
    "license",         "asset",      "note",     "bookmark",
};
constexpr std::string_view statuses_list[] = {
    "open",    "closed", "pending",  "active",   "done",    "blocked",  "new",       "urgent",    "paid",  "late",
    "shipped", "draft",  "approved", "rejected", "waiting", "archived", "confirmed", "cancelled", "ready", "paused",
};
constexpr std::string_view sentences_list[] = {
    "Buy milk and eggs on the way home",
    "Call the bank about the new card",
    "The meeting was moved to Thursday",
    "Please water the plants twice a week",
    "Remember to bring the blue folder",
    "The package arrives tomorrow morning",
    "Check the heating in the back room",
    "We still need two more chairs",
    "Lunch is at noon in the garden",
    "The printer is out of paper again",
    "Ask the landlord about the broken window",
    "Send the photos to the whole family",
    "The train leaves at seven sharp",
    "Feed the cat before leaving",
    "Pay the electricity bill this week",
    "The code for the door is on the fridge",
    "Tickets can be picked up at the desk",
    "All guests should sign the book",
    "Bring warm clothes and good shoes",
    "The new version ships on Monday",
    "First draft, please comment",
    "Nothing to report today",
    "Everything went according to plan",
    "The water was cold but clear",
    "Backups run every night",
    "Keep this file for later",
    "To be reviewed by the team",
    "Thanks for all the help",
    "See you next week",
    "Do not forget the keys",
    "The shop opens at nine",
    "Parking is behind the building",
    "Wifi password is on the board",
    "The order was delivered late",
    "Prices go up in January",
    "Two boxes are missing",
    "The report covers the last quarter",
    "Turn off the lights at night",
    "Dinner with the neighbours on Friday",
    "Renew the passport before summer",
};
constexpr std::string_view common_words_list[] = {
    "time",        "year",       "people",       "way",       "day",         "man",         "thing",      "woman",
    "life",        "child",      "world",        "school",    "state",       "family",      "student",    "group",
    "country",     "problem",    "hand",         "part",      "place",       "case",        "week",       "company",
    "system",      "program",    "question",     "work",      "government",  "number",      "night",      "point",
    "home",        "water",      "room",         "mother",    "area",        "money",       "story",      "fact",
    "month",       "lot",        "right",        "study",     "book",        "eye",         "job",        "word",
    "business",    "issue",      "side",         "kind",      "head",        "house",       "service",    "friend",
    "father",      "power",      "hour",         "game",      "line",        "end",         "member",     "law",
    "car",         "city",       "community",    "name",      "president",   "team",        "minute",     "idea",
    "kid",         "body",       "information",  "back",      "parent",      "face",        "others",     "level",
    "office",      "door",       "health",       "person",    "art",         "war",         "history",    "party",
    "result",      "change",     "morning",      "reason",    "research",    "girl",        "guy",        "moment",
    "air",         "teacher",    "force",        "education", "foot",        "boy",         "age",        "policy",
    "process",     "music",      "market",       "sense",     "nation",      "plan",        "college",    "interest",
    "death",       "experience", "effect",       "use",       "class",       "control",     "care",       "field",
    "development", "role",       "effort",       "rate",      "heart",       "drug",        "show",       "leader",
    "light",       "voice",      "wife",         "police",    "mind",        "price",       "report",     "decision",
    "son",         "view",       "relationship", "town",      "road",        "arm",         "difference", "value",
    "building",    "action",     "season",       "society",   "tax",         "director",    "position",   "player",
    "record",      "paper",      "space",        "ground",    "form",        "event",       "official",   "matter",
    "center",      "couple",     "site",         "project",   "activity",    "star",        "table",      "need",
    "court",       "oil",        "situation",    "cost",      "industry",    "figure",      "street",     "image",
    "phone",       "data",       "picture",      "practice",  "piece",       "land",        "product",    "doctor",
    "wall",        "patient",    "worker",       "news",      "test",        "movie",       "north",      "love",
    "support",     "technology", "step",         "baby",      "computer",    "type",        "attention",  "film",
    "tree",        "source",     "organization", "hair",      "window",      "culture",     "chance",     "brother",
    "energy",      "period",     "course",       "summer",    "plant",       "opportunity", "term",       "letter",
    "condition",   "choice",     "rule",         "daughter",  "south",       "husband",     "floor",      "campaign",
    "material",    "population", "call",         "hospital",  "church",      "risk",        "fire",       "future",
    "bank",        "defense",    "attack",       "west",      "sport",       "board",       "rise",       "subject",
    "growth",      "wind",       "rain",         "snow",      "bread",       "cheese",      "coffee",     "tea",
    "milk",        "sugar",      "salt",         "apple",     "orange",      "lemon",       "butter",     "soup",
    "salad",       "dinner",     "lunch",        "breakfast", "kitchen",     "bedroom",     "bathroom",   "garden",
    "garage",      "roof",       "stairs",       "train",     "station",     "airport",     "ticket",     "hotel",
    "beach",       "mountain",   "lake",         "forest",    "island",      "bridge",      "village",    "farm",
    "horse",       "bird",       "fish",         "dog",       "cat",         "cow",         "sheep",      "shirt",
    "shoes",       "coat",       "hat",          "dress",     "bag",         "wallet",      "umbrella",   "glasses",
    "watch",       "ring",       "pencil",       "notebook",  "printer",     "screen",      "keyboard",   "battery",
    "charger",     "cable",      "internet",     "website",   "password",    "email",       "message",    "meeting",
    "appointment", "dentist",    "lawyer",       "plumber",   "electrician", "neighbour",   "landlord",   "customer",
    "supplier",    "delivery",   "invoice",      "contract",  "budget",      "deadline",    "schedule",   "holiday",
    "birthday",    "wedding",    "concert",      "museum",    "library",     "theatre",     "restaurant", "bakery",
    "pharmacy",    "tomorrow",   "today",        "yesterday", "tonight",     "monday",      "tuesday",    "wednesday",
    "thursday",    "friday",     "saturday",     "sunday",    "spring",      "autumn",      "winter",     "early",
    "late",        "soon",       "again",        "always",    "never",       "often",       "maybe",      "almost",
    "enough",      "about",      "after",        "before",    "between",     "during",      "under",      "over",
    "through",     "without",    "against",      "near",      "inside",      "outside",     "behind",     "buy",
    "sell",        "pay",        "send",         "bring",     "take",        "give",        "ask",        "answer",
    "write",       "read",       "open",         "close",     "start",       "finish",      "check",      "clean",
    "repair",      "paint",      "build",        "cook",      "bake",        "wash",        "drive",      "walk",
    "run",         "fly",        "swim",         "visit",     "meet",        "invite",      "remember",   "forget",
    "prepare",     "order",      "return",       "move",      "keep",        "find",        "lose",       "learn",
    "teach",       "help",       "wait",         "stay",      "leave",       "arrive",      "happy",      "tired",
    "hungry",      "busy",       "free",         "ready",     "important",   "urgent",      "cheap",      "expensive",
    "difficult",   "easy",       "possible",     "strange",   "beautiful",
};
constexpr std::string_view months_list[] = {
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
};

}  // namespace

const Pool first_names = first_names_list;
const Pool last_names = last_names_list;
const Pool cities = cities_list;
const Pool nouns = nouns_list;
const Pool adjectives = adjectives_list;
const Pool extensions = extensions_list;
const Pool file_stems = file_stems_list;
const Pool folder_names = folder_names_list;
const Pool projects = projects_list;
const Pool companies = companies_list;
const Pool fields = fields_list;
const Pool verbs_create = verbs_create_list;
const Pool verbs_get = verbs_get_list;
const Pool verbs_list = verbs_list_list;
const Pool verbs_update = verbs_update_list;
const Pool verbs_delete = verbs_delete_list;
const Pool verbs_send = verbs_send_list;
const Pool entities = entities_list;
const Pool statuses = statuses_list;
const Pool sentences = sentences_list;
const Pool common_words = common_words_list;
const Pool months = months_list;

}  // namespace quern::pools
