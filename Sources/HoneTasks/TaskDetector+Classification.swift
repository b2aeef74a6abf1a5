import HoneFormats

extension TaskDetector {
    /// A classification task of which some columns are given.
    func classification(_ given: ColumnMapping, template: Template?) throws -> TaskResolution {
        var columns = ColumnMapping(
            text: given.text, textPair: given.textPair, image: given.image, label: given.label)
        if columns.image == nil, columns.text == nil, columns.textPair == nil, template == nil {
            columns.image = try imageColumn()
        }
        var template = template
        if columns.label == nil {
            let used = Set(
                [columns.text, columns.textPair, columns.image].compactMap { $0 } + (template?.columns ?? []))
            columns.label = try labelColumn(excluding: used)
            if columns.label == nil, let refusal = refusedLabel(excluding: used) { throw refusal }
            columns.label = try columns.label ?? labelByValues(excluding: used)
        }
        guard let label = columns.label else { throw noLabel() }
        if columns.text == nil, columns.image == nil, template == nil {
            let pair = columns.textPair == nil ? textPair(excluding: label) : nil
            if let pair {
                columns.text = pair.first
                columns.textPair = pair.second
            } else if let heading = heading(excluding: label) {
                template = try Template("{\(heading.heading)}\n{\(heading.body)}")
            } else {
                columns.text = try textColumn(
                    excluding: Set([label, columns.textPair].compactMap { $0 }), label: label)
            }
        }
        return TaskResolution(kind: .classification, columns: columns, template: template)
    }

    /// The column with the paths of images, if there is one.
    ///
    /// - Throws: `HoneError` where there are several that are equally likely, or a text beside it.
    func imageColumn() throws -> String? {
        let found = profiles.filter(\.holdsImages)
        guard let first = found.first else { return nil }
        let names = ColumnVocabulary.images
        let named = names.lazy.compactMap(named).first { $0.holdsImages }
        guard named != nil || found.count == 1 else {
            throw HoneError(
                .badData,
                "\(Wording.columns(found.map(\.name))) could each be the image; say in a task.yaml which one is, for example "
                    + "`columns: {image: \(shown(first.name)), label: NAME}`", file: table.file)
        }
        let image = named ?? first
        let texts = ColumnVocabulary.texts.prefix(2).flatMap { $0.sorted() }.compactMap(self.named)
        if let text = texts.first(where: { $0.isText && !$0.holdsImages && !$0.isPlainlyLabels }) {
            throw HoneError(
                .badData,
                "the rows have images (\(Wording.column(image.name))) and texts (\(Wording.column(text.name))); say in a "
                    + "task.yaml what is to be classified: `columns: {image: \(shown(image.name))}` or "
                    + "`columns: {text: \(shown(text.name))}`", file: table.file)
        }
        return image.name
    }

    /// The label column by its name, if one has such a name and values that fit.
    ///
    /// - Throws: `HoneError` where two are equally likely.
    func labelColumn(excluding used: Set<String>) throws -> String? {
        for group in labelGroups(excluding: used) {
            let fitting = group.filter { $0.couldBeLabels }
            guard let first = fitting.first else { continue }
            // Of columns that mirror each other, one with words is better than one with numbers.
            let best = wordier(than: first) ?? first
            let rivals = fitting.filter { $0.name != best.name && !mirrors($0.name, best.name) }
            guard rivals.isEmpty else { throw manyLabels(fitting.map(\.name)) }
            return best.name
        }
        return nil
    }

    private func manyLabels(_ names: [String]) -> HoneError {
        HoneError(
            .badData,
            "\(Wording.columns(names)) could each be the label; say in a task.yaml which one is, for example "
                + "`columns: {text: \(likelyText), label: \(shown(names.first ?? ""))}`",
            file: table.file)
    }

    /// Why a column that is called like the label cannot be it, if there is one.
    private func refusedLabel(excluding used: Set<String>) -> HoneError? {
        let named = labelGroups(excluding: used).prefix(2)
        guard let refused = named.first?.first ?? named.last?.first(where: { $0.lists > 0 }) else { return nil }
        let name = Wording.column(refused.name)
        let problem: String
        if refused.present == 0 {
            problem = "the label column \(name) is empty in all rows"
        } else if refused.lists > 0 {
            problem = "the label column \(name) holds lists; several labels a row are not supported"
        } else {
            problem =
                "the column \(name) \(refused.complaint), which does not look like labels; say in a task.yaml "
                + "`columns: {text: \(likelyText), label: \(shown(refused.name))}` if it is right"
        }
        return HoneError(
            .badData, problem, file: table.file, line: table.line(ofRow: 0), item: shown(refused.name))
    }

    private func labelGroups(excluding used: Set<String>) -> [[ColumnProfile]] {
        let free = profiles.filter { !used.contains($0.name) }
        var groups = ColumnVocabulary.labels.map { names in
            free.filter { names.contains(ColumnVocabulary.normal($0.name)) }
        }
        groups.append(
            free.filter { profile in
                let name = ColumnVocabulary.normal(profile.name)
                return ColumnVocabulary.labelEndings.contains { name.hasSuffix($0) }
            })
        return groups
    }

    private func wordier(than label: ColumnProfile) -> ColumnProfile? {
        guard label.isNumeric else { return nil }
        return ["label_text", "label_name", "label_names", "class_name", "text_label"].compactMap(named).first {
            !$0.isNumeric && $0.couldBeLabels && mirrors($0.name, label.name)
        }
    }

    /// The only column whose values look like labels, where no name tells.
    private func labelByValues(excluding used: Set<String>) throws -> String? {
        // Where there is an instruction, what is missing is its answer and not a label.
        if ColumnVocabulary.plainGeneration.contains(where: { named($0.prompt)?.isText == true }) { return nil }
        let candidates = profiles.filter { profile in
            guard profile.couldBeLabels, !used.contains(profile.name), let distinct = profile.distinct, distinct >= 2,
                profile.present >= 8,
                !ColumnVocabulary.isBookkeeping(profile.name)
            else { return false }
            let most = profile.isNumeric ? 20 : 200
            return distinct <= max(2, min(most, profile.present / 4))
        }
        if candidates.count > 1 { throw manyLabels(candidates.map(\.name)) }
        return candidates.first?.name
    }

    private func textPair(excluding label: String) -> (first: String, second: String)? {
        for pair in ColumnVocabulary.pairs {
            guard let first = named(pair.first), let second = named(pair.second), first.isText, second.isText,
                first.name != label, second.name != label
            else { continue }
            return (first.name, second.name)
        }
        return nil
    }

    private func heading(excluding label: String) -> (heading: String, body: String)? {
        for entry in ColumnVocabulary.headings {
            guard let heading = named(entry.heading), heading.isText, heading.name != label else { continue }
            for name in entry.body {
                if let body = named(name), body.isText, body.name != label { return (heading.name, body.name) }
            }
        }
        return nil
    }

    private func textColumn(excluding used: Set<String>, label: String) throws -> String {
        let free = profiles.filter { !used.contains($0.name) && $0.isText }
        for names in ColumnVocabulary.texts {
            let group = free.filter { names.contains(ColumnVocabulary.normal($0.name)) }
            if group.count > 1 { throw manyTexts(group, label: label) }
            if let only = group.first { return only.name }
        }
        let others = free.filter {
            !$0.isPlainlyLabels && !ColumnVocabulary.isBookkeeping($0.name) && !mirrors($0.name, label)
        }
        if others.count > 1 { throw manyTexts(others, label: label) }
        if let only = others.first { return only.name }
        throw HoneError(
            .badData,
            "no column looks like the text to classify; the columns are \(Wording.columns(table.columns)). Say in a "
                + "task.yaml which one is, for example `columns: {text: \(example(excluding: [label])), "
                + "label: \(shown(label))}`",
            file: table.file)
    }

    private func manyTexts(_ columns: [ColumnProfile], label: String) -> HoneError {
        let names = columns.map(\.name)
        return HoneError(
            .badData,
            "\(Wording.columns(names)) could each be the text; say in a task.yaml which one is, for example "
                + "`columns: {text: \(shown(names[0])), label: \(shown(label))}`, or join them: "
                + "`template: \"{\(shown(names[0]))} {\(shown(names.last ?? ""))}\"`",
            file: table.file)
    }

    private func noLabel() -> HoneError {
        let first = likelyText
        let last = nestedAnswer ?? example(excluding: [first])
        let asLabel = nestedAnswer == nil ? "`columns: {text: \(first), label: \(last)}` or " : ""
        return HoneError(
            .badData,
            "no column looks like a label or an answer; the columns are \(Wording.columns(table.columns)). Say in a "
                + "task.yaml what they are, for example \(asLabel)`columns: {prompt: \(first), completion: \(last)}`",
            file: table.file)
    }

    /// The name of the column that is most likely a text, for an example in a message.
    var likelyText: String {
        let usual = ColumnVocabulary.texts.lazy.flatMap { $0.sorted() } + ["instruction"]
        let best = usual.compactMap(named).first { $0.isText } ?? profiles.first { $0.isText && !$0.isPlainlyLabels }
        return best.map { shown($0.name) } ?? example(excluding: [])
    }

    /// A path into the first nested column that leads to something called like an answer, for an example in a message.
    var nestedAnswer: String? {
        guard table.count > 0 else { return nil }
        for (position, column) in table.columns.enumerated() where Wording.looksLikeName(column) {
            var path = column
            var value = table[0, position]
            if case .array(let elements) = value, let first = elements.first {
                path += ".0"
                value = first
                if case .string = value { return path }
            }
            guard case .object(let object) = value else { continue }
            let names = ["output", "answer", "completion", "response", "target", "text"]
            if let name = names.first(where: { object[$0]?.string != nil }) { return "\(path).\(name)" }
        }
        return nil
    }

    /// A column's name as it can stand in a message, or a stand-in.
    func shown(_ column: String) -> String { Wording.looksLikeName(column) ? column : "NAME" }

    /// The name of some column for an example in a message.
    func example(excluding: Set<String>) -> String {
        shown(table.columns.first { !excluding.contains($0) } ?? "NAME")
    }
}
