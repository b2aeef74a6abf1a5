/// A set of Unicode scalars as a regular expression describes one: `[^\s\p{L}a-f]`.
struct ScalarSet: Sendable {
    /// A part of a set.
    enum Item: Sendable {
        case range(UInt32, UInt32)
        /// Scalars that have one of these classes, or none of them.
        case classes(ScalarClasses.Flags, negated: Bool)
        /// Scalars whose general category is one of these (a bit each), or none of them.
        case categories(UInt32, negated: Bool)
        case alphabetic(negated: Bool)
        case set(ScalarSet)
    }

    /// `\w` of Oniguruma: letters, marks, decimal digits, connectors and, beyond Unicode's own, ² ³ ¹ ¼ ½ ¾.
    static let word = ScalarSet(
        [.classes(ScalarClasses.word, negated: false), .range(0xB2, 0xB3), .range(0xB9, 0xB9), .range(0xBC, 0xBE)],
        and: [ScalarSet([.range(0x200C, 0x200D)], negated: true)])

    private let items: [Item]
    private let isNegated: Bool
    /// Whether upper and lower case are alike.
    private let foldsCase: Bool
    /// Sets that a scalar has to be in too.
    private let others: [ScalarSet]
    /// The ASCII characters in the set, a bit each.
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    init(
        _ items: [Item], negated: Bool = false, foldsCase: Bool = false, and others: [ScalarSet] = []
    ) {
        self.items = items
        isNegated = negated
        self.foldsCase = foldsCase
        self.others = others
        for scalar: UInt32 in 0..<64 where find(scalar) { low |= 1 << UInt64(scalar) }
        for scalar: UInt32 in 64..<128 where find(scalar) { high |= 1 << UInt64(scalar - 64) }
    }

    /// Whether a scalar is in the set.
    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return low >> UInt64(scalar) & 1 == 1 }
        if scalar < 128 { return high >> UInt64(scalar - 64) & 1 == 1 }
        return find(scalar)
    }

    private func find(_ scalar: UInt32) -> Bool {
        var isFound = hasItem(scalar) && others.allSatisfy { $0.contains(scalar) }
        if !isFound, foldsCase {
            isFound = Self.cases(of: scalar).contains { other in
                hasItem(other) && others.allSatisfy { $0.contains(other) }
            }
        }
        return isFound != isNegated
    }

    private func hasItem(_ scalar: UInt32) -> Bool {
        items.contains { item in
            switch item {
            case .range(let first, let last): return first <= scalar && scalar <= last
            case .classes(let flags, let negated):
                return (ScalarClasses.shared[scalar] & flags != 0) != negated
            case .categories(let mask, let negated):
                return (mask >> Self.category(scalar) & 1 == 1) != negated
            case .alphabetic(let negated):
                return (Unicode.Scalar(scalar)?.properties.isAlphabetic ?? false) != negated
            case .set(let set): return set.contains(scalar)
            }
        }
    }

    /// The other cases of a scalar, where these are single scalars. (The long ſ is a case of s.)
    private static func cases(of scalar: UInt32) -> [UInt32] {
        guard let value = Unicode.Scalar(scalar) else { return [] }
        var found: [UInt32] = []
        func add(_ text: String) {
            let scalars = text.unicodeScalars
            if scalars.count == 1, let first = scalars.first, first != value { found.append(first.value) }
        }
        let upper = value.properties.uppercaseMapping
        add(value.properties.lowercaseMapping)
        add(upper)
        add(upper.lowercased())
        // Letters whose upper or lower case is one of ASCII, from there.
        switch scalar {
        case 0x53, 0x73: found.append(0x17F)
        case 0x4B, 0x6B: found.append(0x212A)
        case 0xC5, 0xE5: found.append(0x212B)
        default: break
        }
        return found
    }

    /// The bit of a general category.
    private static func category(_ scalar: UInt32) -> UInt32 {
        guard let value = Unicode.Scalar(scalar) else { return 28 }
        return bit(value.properties.generalCategory)
    }

    private static func bit(_ category: Unicode.GeneralCategory) -> UInt32 {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 29
        }
    }

    /// The categories in the order of their bits.
    private static let names = [
        "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl", "no", "pc", "pd", "ps", "pe", "pi",
        "pf", "po", "sm",
        "sc", "sk", "so", "zs", "zl", "zp", "cc", "cf", "cs", "co", "cn",
    ]

    private static let longNames = [
        "letter": "l", "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt",
        "modifierletter": "lm",
        "otherletter": "lo", "mark": "m", "nonspacingmark": "mn", "spacingmark": "mc",
        "enclosingmark": "me",
        "number": "n", "decimalnumber": "nd", "letternumber": "nl", "othernumber": "no",
        "punctuation": "p",
        "punct": "p", "symbol": "s", "mathsymbol": "sm", "currencysymbol": "sc", "separator": "z",
        "spaceseparator": "zs", "other": "c", "control": "cc", "cntrl": "cc", "format": "cf",
        "upper": "lu",
        "lower": "ll", "digit": "nd",
    ]

    /// The scalars of a property as `\p{…}` names it, without blanks, hyphens and underscores, in lower case.
    static func property(_ name: String, negated: Bool) -> Item? {
        let name = longNames[name] ?? name
        switch name {
        // As the reference has them, whatever version of Unicode this system knows.
        case "l": return .classes(ScalarClasses.letter, negated: negated)
        case "n": return .classes(ScalarClasses.number, negated: negated)
        case "space", "whitespace": return .classes(ScalarClasses.whitespace, negated: negated)
        case "any": return .classes(0, negated: !negated)
        case "alpha", "alphabetic": return .alphabetic(negated: negated)
        case "alnum":
            let items: [Item] = [.alphabetic(negated: false), .categories(mask { $0 == "nd" }, negated: false)]
            return .set(ScalarSet(items, negated: negated))
        case "word": return .set(negated ? ScalarSet([.set(word)], negated: true) : word)
        default:
            let mask = mask { $0 == name || (name.count == 1 && $0.first == name.first) }
            return mask == 0 ? nil : .categories(mask, negated: negated)
        }
    }

    private static func mask(_ isIn: (String) -> Bool) -> UInt32 {
        names.enumerated().reduce(0) { isIn($1.element) ? $0 | 1 << UInt32($1.offset) : $0 }
    }
}
