"""Language models: one file or package per provider behind `engines.protocols.LanguageModelEngine`."""
